"""A disk that takes no more, and a run folder that goes away, while a run writes to it."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
from helpers import CONFIGS, QUIET, Run, metrics

FIT = (
    "fit",
    "--config",
    str(CONFIGS / "tabular.yaml"),
    *QUIET,
    "--trainer.max_epochs",
    "2",
    "--trainer.log_every_n_steps",
    "1",
    "--monitor.every",
    "3",
    "--resume",
    "auto",
    "--checkpoint.every_n_steps",
    "5",
)
FOLDER = Path("runs/tabular/version_0")


class Breaking(L.Callback):
    """Breaks something after twelve steps, once.

    Args:
        what: pattern of logs that are on a full disk from then on; or moved, or removed.
    """

    def __init__(self, what: str) -> None:
        self.what = what

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Break it."""
        if trainer.global_step != 12 or Path("broken").exists():
            return
        Path("broken").mkdir()
        if self.what in ("moved", "removed"):
            FOLDER.rename("broken/run")
            if self.what == "removed":
                shutil.rmtree("broken/run")
            return
        for file in FOLDER.glob(self.what):
            file.rename(Path("broken") / file.name)
            file.symlink_to("/dev/full")


def breaking(what: str) -> tuple[str, str]:
    return "--callbacks", f"[{{name: {__name__}.Breaking, what: '{what}'}}]"


def rows() -> list[dict[str, str]]:
    with (FOLDER / "metrics.csv").open() as stream:
        found = list(csv.DictReader(stream))
    return [{k: v for k, v in row.items() if "per_second" not in k} for row in found]


@pytest.fixture
def tracebacks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What threads raise and nobody catches."""
    found: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(str(args.exc_value)))
    return found


@pytest.mark.parametrize("logs", ["metrics.csv", "events.*", "instruments.jsonl"])
def test_a_full_disk_under_a_log_loses_nothing(logs: str, gdl: Run, tracebacks: list[str]) -> None:
    result = gdl(*FIT, *breaking(logs))
    assert result.code == 74
    first, second = result.err.strip().splitlines()
    assert "No space left on device" in first
    assert second == f"Resume from the last checkpoint with: gdl fit --resume {FOLDER}"
    assert tracebacks == []
    for file in Path("broken").iterdir():
        file.replace(FOLDER / file.name)
    assert gdl(*FIT, *breaking(logs)).code == 0
    resumed = metrics("tabular"), rows()
    shutil.rmtree("runs")
    assert gdl(*FIT, *breaking(logs)).code == 0
    assert resumed == (metrics("tabular"), rows())


@pytest.mark.parametrize("profile", ["full", "fast"])
@pytest.mark.parametrize("what", ["moved", "removed"])
def test_a_folder_that_goes_away_is_named_and_not_made_again(
    what: str, profile: str, gdl: Run, tracebacks: list[str]
) -> None:
    result = gdl(*FIT, *breaking(what), "--profile", profile)
    assert result.code == 74
    assert result.err.startswith(f"error: The run folder {FOLDER} was removed or moved")
    assert len(result.err.strip().splitlines()) == 2
    assert tracebacks == []
    assert not FOLDER.exists()
    if what == "moved":
        assert gdl("fit", "--resume", "broken/run").code == 0
        assert Path("broken/run/metrics.json").is_file()


def test_a_disk_that_is_full_at_once_leaves_nothing(
    gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    result = gdl(*FIT)
    assert result.code == 74
    assert "config.yaml cannot be written: No space left on device." in result.err
    assert not Path("runs").exists()
