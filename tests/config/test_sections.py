"""A dotted path in a config is checked for what it leads to, before that is called."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run

TRAP = """
from pathlib import Path
import functools

def touch(*arguments, **options):
    Path("called").touch()

class Trap:
    def __init__(self, *arguments, **options):
        touch()
    def __call__(self, step, total):
        touch()

class Meta(type):
    def __call__(cls, *arguments, **options):
        touch()

class Made(metaclass=Meta):
    pass

instance = object.__new__(Trap)
part = functools.partial(touch, 1)
text = "touch"
"""
PATHS = (
    "os.system",
    "builtins.eval",
    "builtins.dict",
    "os.path",
    "subprocess.Popen",
    "shutil.rmtree",
    "math.cos",
    "sys.argv",
    "trap.touch",
    "trap.Trap",
    "trap.Made",
    "trap.instance",
    "trap.part",
    "trap.text",
)
SECTIONS = ("model", "model.net", "data", "optimizer", "optimizer.companion", "schedule", "clip")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of things that leave a file when they are called."""
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "called"
    sys.modules.pop("trap", None)


def refused(gdl: Run, trap: Path, path: str, *flags: str) -> str:
    done = gdl("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, *flags)
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) <= 5
    assert path in done.err
    assert not trap.exists()
    assert not Path("runs").exists()
    return done.err


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_of_another_kind_is_refused_without_a_call(
    section: str, gdl: Run, trap: Path
) -> None:
    for path in PATHS:
        error = refused(gdl, trap, path, f"--{section}", path)
        assert "command line" in error


@pytest.mark.parametrize("flag", ["--callbacks", "--optimizer.wrappers"])
def test_the_same_of_names_in_a_list(flag: str, gdl: Run, trap: Path) -> None:
    for path in PATHS:
        refused(gdl, trap, path, flag, f"[{path}]")


def test_the_same_of_other_verbs(gdl: Run, trap: Path) -> None:
    for path in PATHS:
        for argv in (
            ("paths", "rosenbrock", "--optimizers", "sgd", "--schedule", path),
            ("paths", "rosenbrock", "--optimizers", path),
            ("optimizers", "show", path),
        ):
            done = gdl(*argv)
            assert done.code == 2, argv
            assert not trap.exists()


MODULES = {
    "syntax": "def broken(:\n",
    "fails": "raise RuntimeError('on purpose')\n",
    "exits": "raise SystemExit(0)\n",
    "recursive": "def f():\n    f()\nf()\n",
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_can_not_be_imported_is_an_error_in_words(
    name: str, gdl: Run, trap: Path, tmp_path: Path
) -> None:
    (tmp_path / f"{name}.py").write_text(MODULES[name])
    for section in SECTIONS:
        assert "can't be imported" in refused(gdl, trap, name, f"--{section}", f"{name}.X")
    assert "can't be imported" in refused(gdl, trap, name, "--imports", name)


DECAYS = """
def falls(step, total, *, low: float = 0.5):
    return 1 - (1 - low) * step / total

def wants(step: int, total: int, *, low: float) -> float:
    return low
"""


def test_a_function_of_step_and_total_is_a_schedule(
    gdl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "decays.py").write_text(DECAYS)
    monkeypatch.syspath_prepend(tmp_path)
    fit = ("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--trainer.max_steps", "2")
    for schedule in (
        "decays.falls",
        "gdlightning.schedules.shapes.reduce_on_plateau.ReduceOnPlateau",
    ):
        done = gdl(*fit, "--schedule", schedule)
        assert done.code == 0, done.err
    assert gdl(*fit, "--schedule", "decays.falls", "--schedule.low", "0.2").code == 0
    missing = gdl(*fit, "--schedule", "decays.wants")
    assert missing.code == 2
    assert "schedule.low is missing" in missing.err
    sys.modules.pop("decays", None)
