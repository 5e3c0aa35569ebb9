"""``gdl new``: a commented, working starter with its config and test."""

from __future__ import annotations

import argparse
import keyword
import re
import shlex
from importlib import resources
from pathlib import Path

from gdlightning.errors import UserError

GROUP = "extend"
SUMMARY = "Write a template with its config and test"
USAGE = "gdl new task|optimizer|data NAME"

KINDS = ("task", "optimizer", "data")


def main(argv: list[str]) -> int:
    """Write NAME.py, NAME.yaml and test_NAME.py into a folder.

    Raises:
        UserError: the name is not a valid module name, or a file exists already.
    """
    parser = argparse.ArgumentParser("gdl new", description=f"{SUMMARY}.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name", help="name of the module, e.g. denoiser")
    parser.add_argument("--folder", default=".", help="where to write (the current folder)")
    given = parser.parse_args(argv)
    name = re.sub(r"[-\s]", "_", given.name).lower()
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(
            f"{given.name} is not a valid Python module name; write, for example, denoiser."
        )
    folder = Path(given.folder)
    files = {
        f"{given.kind}.py.txt": folder / f"{name}.py",
        f"{given.kind}.yaml.txt": folder / f"{name}.yaml",
        f"{given.kind}_test.py.txt": folder / f"test_{name}.py",
    }
    for path in files.values():
        if path.exists():
            raise UserError(f"{path} exists already; choose another name or --folder.")
    folder.mkdir(parents=True, exist_ok=True)
    class_name = "".join(part.capitalize() for part in name.split("_"))
    templates = resources.files("gdlightning.cli") / "templates"
    for template, path in files.items():
        text = (templates / template).read_text(encoding="utf-8")
        path.write_text(text.replace("CLASS", class_name).replace("MODULE", name), encoding="utf-8")
        print(f"Wrote {path}")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    print(f"\nTrain it:  {enter}gdl fit --config {name}.yaml")
    print(f"Test it:   {enter}pytest test_{name}.py")
    return 0
