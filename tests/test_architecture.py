"""Imports go in one direction, and start-up imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gdlightning"
LAYERS = (
    ("errors", "signature", "discovery", "random_state", "signals", "streams", "moved_modules"),
    ("internals",),
    ("storage",),
    ("drawing",),
    ("optimizers", "schedules", "clipping", "nets", "curvature", "data", "monitor"),
    ("diagnostics", "tasks"),
    ("engine",),
    ("callbacks",),
    ("study", "range_test", "landscape", "conformance"),
    ("races", "lab"),
    ("config",),
    ("runs",),
    ("api",),
    ("cli",),
    ("__main__",),
)
"""From bottom to top. A folder may import from those below it, and from itself."""

ONLY_TORCH = ("optimizers", "clipping", "nets", "curvature", "monitor")
"""Folders that can be used in a plain training loop; they import the lowest layer alone."""


def modules() -> dict[str, Path]:
    """Return all modules of the package by their dotted names."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Return the modules of gdlightning that a file imports, wherever the import is written."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("gdlightning")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gdlightning"):
            inside = {f"{node.module}.{a.name}" for a in node.names}
            found |= {name if name in MODULES else node.module or "" for name in inside}
    return found & set(MODULES)


def folder_of(module: str) -> str:
    """Return the part below ``gdlightning`` that a module belongs to."""
    return module.split(".")[1]


def test_imports_go_down() -> None:
    level = {folder: k for k, layer in enumerate(LAYERS) for folder in layer}
    upward = []
    for name, path in MODULES.items():
        if name == "gdlightning":  # its public names are imported on demand
            continue
        own = folder_of(name)
        for other in map(folder_of, imports(path) - {"gdlightning"}):
            if other != own and (
                level[other] > level[own] or (level[own] and level[other] == level[own])
            ):
                upward.append((name, other))
    assert upward == []


@pytest.mark.parametrize("folder", ONLY_TORCH)
def test_a_plain_training_loop_can_use(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        assert {folder_of(m) for m in imports(path)} <= {*LAYERS[0], folder}, path


def test_every_folder_has_a_layer() -> None:
    folders = {folder_of(name) for name in MODULES if name != "gdlightning"}
    assert folders == {folder for layer in LAYERS for folder in layer}


def test_no_module_imports_itself_through_others() -> None:
    sorter = TopologicalSorter({name: imports(path) - {name} for name, path in MODULES.items()})
    sorter.prepare()  # raises CycleError, which names the modules


def test_a_file_name_has_one_meaning() -> None:
    """Only commands, tasks and plug-ins may share the name of another file."""
    named = {"cli", "tasks", "checks", "experiments", "shapes", "entries", "wrappers"}
    seen: dict[str, Path] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name in named or path.name == "__init__.py":
            continue
        assert path.name not in seen, (path, seen[path.name])
        seen[path.name] = path


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        ("import gdlightning", ("torch", "lightning", "numpy")),
        ("from gdlightning.__main__ import main; main(['optimizers'])", ("torch", "lightning")),
        ("from gdlightning.__main__ import main; main(['schedules'])", ("torch", "lightning")),
        ("from gdlightning.__main__ import main; main(['--help'])", ("torch", "lightning")),
        (
            "from gdlightning.__main__ import main; main(['fit', '--optimzer', 'adam'])",
            ("torch", "lightning"),
        ),
        (
            "from gdlightning.__main__ import main; main(['fit', '--optimizer', 'adamv'])",
            ("torch", "lightning"),
        ),
        (
            "from gdlightning.__main__ import main; main(['fit', '--config', 'nowhere.yaml'])",
            ("torch", "lightning"),
        ),
    ],
)
def test_light_commands_import_nothing_heavy(command: str, heavy: tuple[str, ...]) -> None:
    code = f"{command}\nimport sys\nprint([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]"), done.stdout[-200:]
