"""A new file of each kind in CONTRIBUTING.md is found and used without an edit elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run

FIT = ("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--trainer.max_steps", "2")

Add = Callable[[str, str, str], None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """``add(package, name, code)`` adds a file to a package of gdlightning."""
    added: list[tuple[str, str]] = []

    def write(package: str, name: str, code: str) -> None:
        folder = tmp_path / "added" / package
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(code)
        home = importlib.import_module(f"gdlightning.{package}")
        monkeypatch.setattr(home, "__path__", [*home.__path__, str(folder)])
        added.append((f"gdlightning.{package}", name))

    yield write
    for package, name in added:
        sys.modules.pop(f"{package}.{name}", None)
        vars(sys.modules[package]).pop(name, None)


def test_a_schedule(add: Add, gdl: Run) -> None:
    add(
        "schedules.shapes",
        "half_way",
        'ALIASES = ("halved",)\n\n\n'
        "def half_way(step: int, total: int, *, low: float = 0.5) -> float:"
        '\n    """Halve the rate."""\n    return 1.0 if step < total / 2 else low\n',
    )
    assert "half_way" in gdl("schedules").out
    for name in ("half-way", "halved"):
        done = gdl(*FIT, "--schedule", name, "--schedule.low", "0.25")
        assert done.code == 0, done.err


def test_a_clipping_method(add: Add, gdl: Run) -> None:
    add(
        "clipping",
        "double_norm",
        "from gdlightning.clipping.norm import NormClip\n\n\n"
        'class DoubleNorm(NormClip):\n    """Clip by the norm."""\n',
    )
    assert "double_norm" in gdl("list", "clip").out
    done = gdl(*FIT, "--clip", "double-norm", "--clip.max_norm", "2")
    assert done.code == 0, done.err


def test_a_net(add: Add, gdl: Run) -> None:
    add(
        "nets",
        "tiny",
        "from gdlightning.nets.mlp import MLP\n\n__all__ = ['TinyNet']\n\n\n"
        'class TinyNet(MLP):\n    """A small net."""\n',
    )
    assert "tiny-net" in gdl("list", "net").out
    done = gdl(*FIT, "--model.net", "tiny-net", "--model.net.hidden", "[4]")
    assert done.code == 0, done.err


def test_a_task(add: Add, gdl: Run) -> None:
    add(
        "tasks",
        "other",
        "from gdlightning.tasks.tabular import TabularClassification\n\n"
        "__all__ = ['OtherTask']\n\n\n"
        'class OtherTask(TabularClassification):\n    """Another task."""\n',
    )
    assert "other-task" in gdl("list", "model").out
    done = gdl(*FIT, "--model", "other-task")
    assert done.code == 0, done.err


def test_a_data_module(add: Add, gdl: Run) -> None:
    add(
        "data",
        "more",
        "from gdlightning.data.tabular import SklearnTabular\n\n__all__ = ['MoreRows']\n\n\n"
        'class MoreRows(SklearnTabular):\n    """More rows."""\n',
    )
    assert "more-rows" in gdl("list", "data").out
    done = gdl(*FIT, "--data", "more-rows")
    assert done.code == 0, done.err


def test_a_callback(add: Add, gdl: Run) -> None:
    add(
        "callbacks",
        "marker",
        "from pathlib import Path\n\nimport lightning.pytorch as L\n\n__all__ = ['MarkStart']\n\n\n"
        'class MarkStart(L.Callback):\n    """Leave a file."""\n\n'
        "    def on_train_start(self, *arguments):\n        Path('started').touch()\n",
    )
    assert "mark-start" in gdl("list", "callback").out
    done = gdl(*FIT, "--callbacks", "[mark-start]")
    assert done.code == 0, done.err
    assert Path("started").exists()


def test_a_verdict(add: Add, gdl: Run) -> None:
    add(
        "diagnostics.checks",
        "always",
        "from gdlightning.diagnostics.verdict import Verdict\n\n\ndef find(record):\n"
        "    return [Verdict('always', 'note', 'Found always', ('evidence',), ())]\n",
    )
    done = gdl(*FIT)
    assert done.code == 0, done.err
    assert "Found always" in gdl("diagnose", "runs/tabular/version_0").out


def test_an_experiment(add: Add, gdl: Run) -> None:
    add(
        "lab.experiments",
        "own_claim",
        '"""Everything is fine.\n\nNothing is done."""\n\nSOURCE = "nobody"\n\n\n'
        "def measure(seed):\n    return {}\n\n\n"
        "def conclude(found):\n    raise NotImplementedError\n"
        "\n\ndef draw(found, theme):\n    raise NotImplementedError\n",
    )
    from gdlightning.lab.experiment import load

    assert "own-claim" in gdl("lab", "list").out
    found = load("own-claim")
    assert found.card.claim == "Everything is fine."
    assert found.measure(0) == {}


def test_an_optimizer(tmp_path: Path, gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from gdlightning.optimizers import registry

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    (tmp_path / "own_optimizer.py").write_text(
        "import torch\n\nimport gdlightning\n\n\n"
        "@gdlightning.register('own-sgd', summary='SGD again')\n"
        'class OwnSGD(torch.optim.SGD):\n    """SGD."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    done = gdl(*FIT, "--imports", "own_optimizer", "--optimizer", "own_sgd")
    assert done.code == 0, done.err
    assert "own-sgd" in gdl("optimizers").out
    sys.modules.pop("own_optimizer", None)
