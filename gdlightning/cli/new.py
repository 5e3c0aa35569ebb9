"""``gdl new``: a commented, working starter with its config and test."""

from __future__ import annotations

import argparse
import keyword
import re
from importlib import resources
from pathlib import Path

from gdlightning.errors import UserError

KINDS = ("task", "optimizer", "data")


def main(argv: list[str]) -> int:
    """Write NAME.py, NAME.yaml and test_NAME.py into a folder.

    Raises:
        UserError: the name is no Python name, or a file is there already.
    """
    parser = argparse.ArgumentParser("gdl new", description=__doc__.strip("`"))
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("name", help="of the module, e.g. denoiser")
    parser.add_argument("--folder", default=".", help="where to write")
    given = parser.parse_args(argv)
    name = re.sub(r"[-\s]", "_", given.name).lower()
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{given.name} is no name for a Python module; write e.g. denoiser.")
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
        print(f"wrote {path}")
    print(f"\nTrain it:  cd {folder} && gdl fit --config {name}.yaml")
    print(f"Test it:   cd {folder} && pytest test_{name}.py")
    return 0
