"""Imports go in one direction, and start-up imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gdlightning"
BENEATH = {"errors", "signature", "discovery", "random_state", "signals"}
MAY_IMPORT = {
    "optimizers": BENEATH,
    "drawing": BENEATH | {"storage"},
    "schedules": BENEATH | {"drawing"},
    "clipping": BENEATH,
    "nets": BENEATH,
    "curvature": BENEATH,
    "data": BENEATH,
    "tasks": BENEATH | {"data", "nets"},
    "monitor": BENEATH,
    "storage": BENEATH,
    "diagnostics": BENEATH | {"storage", "drawing"},
    "callbacks": BENEATH
    | {
        "storage",
        "monitor",
        "diagnostics",
        "curvature",
        "tasks",
        "data",
        "nets",
        "schedules",
        "clipping",
        "optimizers",
    },
    "loop": BENEATH | {"data", "callbacks"},
    "study": BENEATH
    | {"storage", "drawing", "loop", "callbacks"}
    | {"tasks", "data", "schedules", "clipping", "optimizers"},
    "range_test": BENEATH | {"drawing", "callbacks", "tasks", "data", "optimizers"},
    "landscape": BENEATH
    | {"tasks", "data", "drawing", "storage", "schedules", "optimizers", "curvature"},
    "lab": BENEATH
    | {"storage", "drawing", "curvature", "study", "loop", "callbacks"}
    | {"tasks", "data", "nets", "schedules", "clipping", "optimizers"},
    "contract": BENEATH
    | {"storage", "loop", "callbacks", "tasks", "data", "schedules", "optimizers"},
    "cli": BENEATH
    | {"storage", "callbacks", "tasks", "data", "nets", "schedules", "clipping", "optimizers"}
    | {"contract", "loop", "study", "drawing", "diagnostics", "landscape", "curvature", "lab"}
    | {"range_test"},
}


def imports(path: Path) -> set[str]:
    """The parts of gdlightning that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gdlightning."):
            found.add((node.module or "").split(".")[1])
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_go_in_one_direction(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        assert imports(path) <= MAY_IMPORT[folder] | {folder}, path


def test_every_folder_is_known() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == set(MAY_IMPORT)


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


LEAVES = """
import sys
from gdlightning.runs.load_config import load
load({argv!r})
from torchmetrics.utilities.imports import _MATPLOTLIB_AVAILABLE
print([m for m in ("matplotlib", "scipy") if m in sys.modules], bool(_MATPLOTLIB_AVAILABLE))
"""


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--config", "configs/vision.yaml"], "[] False"),
        (["--config", "configs/vision.yaml", "--callbacks", "[mine.Note]"], "True"),
        (["--config", "configs/vision.yaml", "--imports", "json"], "True"),
    ],
)
def test_fit_imports_nothing_that_happens_to_be_installed(argv: list[str], told: str) -> None:
    """Code of the user's finds torchmetrics as it is."""
    done = subprocess.run(
        [sys.executable, "-c", LEAVES.format(argv=argv)], cwd=PACKAGE.parent,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip().endswith(told), done.stdout[-200:]
