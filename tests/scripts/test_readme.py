"""scripts/README.md lists every script with its first line and a command."""

from __future__ import annotations

import ast
import re
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
ROW = re.compile(r"^\| `([\w/]+\.py)` \| (.*?) \|(?: `(.*?)` \|)?$", re.MULTILINE)


def docstrings() -> dict[str, str]:
    return {
        str(path.relative_to(SCRIPTS)): ast.get_docstring(ast.parse(path.read_text())) or ""
        for path in SCRIPTS.rglob("*.py")
    }


def test_each_script_is_listed_with_its_first_line() -> None:
    rows = ROW.findall((SCRIPTS / "README.md").read_text())
    listed = {name: text.replace("`", "") for name, text, _ in rows}
    assert len(listed) == len(rows)
    assert listed == {
        name: text.split("\n")[0].replace("`", "") for name, text in docstrings().items()
    }


def test_each_command_is_that_of_the_script() -> None:
    rows = ROW.findall((SCRIPTS / "README.md").read_text())
    texts = docstrings()
    for name, _, command in rows:
        runs = '\nif __name__ == "__main__":' in (SCRIPTS / name).read_text()
        assert bool(command) == runs, name
        assert command in texts[name], name
        assert not command or command.startswith(f"python scripts/{name}"), name
