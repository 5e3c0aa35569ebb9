"""Callbacks that a config adds."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from helpers import Run

SHORT = ("--trainer.max_epochs", "3")


def test_lightnings_by_name_with_options(fit: Run) -> None:
    fit(
        "tabular",
        "--trainer.max_epochs",
        "30",
        "--callbacks",
        "[{name: early-stopping, monitor: val_loss, patience: 1, min_delta: 10.0}]",
    )
    last = torch.load("runs/tabular/version_0/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 26  # two epochs of 13 steps


def test_a_callback_is_created_once_per_run(fit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("counted.py").write_text(
        "import lightning.pytorch as L\n"
        "created = []\n"
        "class Counted(L.Callback):\n"
        "    def __init__(self):\n"
        "        created.append(self)\n"
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    trainers: list[L.Trainer] = []
    init = L.Trainer.__init__

    @functools.wraps(init)
    def count(self: L.Trainer, *args: object, **kwargs: object) -> None:
        trainers.append(self)
        init(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(L.Trainer, "__init__", count)
    fit("tabular", "--trainer.max_epochs", "1", "--callbacks", "[counted.Counted]")
    assert len(importlib.import_module("counted").created) == 1
    assert len(trainers) == 1


def test_ones_own_by_class_path(fit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.py").write_text(
        "from pathlib import Path\nimport lightning.pytorch as L\n"
        "class Note(L.Callback):\n"
        "    def __init__(self, file: str):\n"
        "        self.file = file\n"
        "    def on_train_end(self, trainer, module):\n"
        "        Path(self.file).write_text(str(trainer.global_step))\n"
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    fit("tabular", *SHORT, "--callbacks", "[{name: mine.Note, file: note.txt}]")
    assert Path("note.txt").read_text() == "39"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("[early-stoping]", ["early-stoping", "early-stopping"]),
        ("[{name: early-stopping, monitr: val_loss}]", ["monitr", "monitor"]),
        ("[early-stopping]", ["early-stopping", "monitor"]),
        ("[{name: os.path}]", ["os.path"]),
    ],
)
def test_bad_ones_are_told_before_a_folder_is_made(given: str, named: list[str], gdl: Run) -> None:
    from helpers import CONFIGS, QUIET

    result = gdl("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--callbacks", given)
    assert result.code == 2
    assert len(result.err.splitlines()) <= 5, result.err
    assert all(word in result.err for word in named), result.err
    assert not Path("runs").exists()


def test_averaging_twice_is_refused(gdl: Run) -> None:
    from helpers import CONFIGS, QUIET

    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--optimizer",
        "schedule-free-adamw",
        "--callbacks",
        "[ema-weight-averaging]",
    )
    assert result.code == 2
    assert "already averages its weights" in result.err


def test_a_monitor_of_a_rate_that_is_not_there_is_refused(gdl: Run) -> None:
    from helpers import CONFIGS, QUIET

    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--optimizer",
        "alig",
        "--schedule",
        "constant",
        "--callbacks",
        "[learning-rate-monitor]",
    )
    assert result.code == 2
    assert "alig has no learning rate" in result.err
    assert not Path("runs").exists()


def test_thousands_of_them_are_not_looked_at_one_by_one(gdl: Run) -> None:
    Path("many.yaml").write_text(f"callbacks: [{', '.join(['a'] * 4_000)}]\n")
    result = gdl("fit", "--config", "many.yaml")
    assert result.code == 2
    assert "callbacks has 4,000 entries; the maximum is 100 (in many.yaml)." in result.err
