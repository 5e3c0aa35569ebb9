"""Stops at any point of a run: saved state, exit code, and the resumed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from helpers import CONFIGS, QUIET, Run, metrics

SHORT = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--trainer.max_epochs", "2")
"""Two epochs of 13 steps."""
BEFORE_A_STEP = ("setup", "on_sanity_check_start", "on_validation_batch_start", "on_train_start")


class SignalAt(L.Callback):
    """Sends this process a signal when a hook is called for the first time."""

    def __init__(self, hook: str, name: str = "SIGTERM") -> None:
        sent: list[str] = []

        def send(*_: Any, **__: Any) -> None:
            if not sent:
                sent.append(name)
                os.kill(os.getpid(), getattr(signal, name))

        setattr(self, hook, send)


class Seen(L.Callback):
    """Counts the batches of sanity checks."""

    batches = 0

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Count a batch."""
        Seen.batches += trainer.sanity_checking


def signal_at(hook: str) -> tuple[str, str]:
    return "--callbacks", f"[{{name: {__name__}.SignalAt, hook: {hook}}}]"


def saved_step(name: str, version: int = 0) -> int:
    path = Path(f"runs/{name}/version_{version}/checkpoints/last.ckpt")
    return int(torch.load(path, weights_only=True)["global_step"])


@pytest.mark.parametrize("hook", BEFORE_A_STEP)
def test_a_signal_before_the_first_step_leaves_nothing(hook: str, gdl: Run) -> None:
    former = signal.getsignal(signal.SIGTERM)
    result = gdl("fit", *SHORT, *signal_at(hook))
    assert result.code == 75, result.err
    assert result.out.endswith("Stopped by SIGTERM before the first step; nothing was written.\n")
    assert not Path("runs").exists()
    assert signal.getsignal(signal.SIGTERM) == former


def test_a_folder_of_another_process_is_kept(gdl: Run) -> None:
    assert gdl("fit", *SHORT, "--stop_after", "3").code == 75
    again = ("--resume", "runs/tabular/version_0", "--resume_changed", "true")
    assert gdl("fit", *SHORT, *again, *signal_at("setup")).code == 75
    assert saved_step("tabular") == 3


@pytest.mark.parametrize(
    "hook", ["on_train_batch_start", "on_train_end", "on_test_start", "on_test_batch_end"]
)
def test_a_later_signal_saves_and_the_run_resumes_exactly(hook: str, gdl: Run) -> None:
    flags = (*SHORT, *signal_at(hook))
    result = gdl("fit", *flags)
    assert result.code == 75, result.err
    assert "Stopped by SIGTERM, saved." in result.out
    assert not Path("runs/tabular/version_0/metrics.json").exists()
    assert saved_step("tabular") == (1 if hook == "on_train_batch_start" else 26)
    if hook != "on_test_start":
        return
    again = ("--resume", "runs/tabular/version_0", "--resume_changed", "true")
    assert gdl("fit", *SHORT, *again).code == 0
    assert gdl("fit", *SHORT, "--name", "whole").code == 0
    assert metrics("tabular") == metrics("whole")


def test_a_signal_during_the_last_file_finishes_it(
    gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise ``--resume auto`` would start a second run."""
    replace = Path.replace

    def signalled(path: Path, target: Path) -> Path:
        if target.name == "metrics.json":
            os.kill(os.getpid(), signal.SIGTERM)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", signalled)
    result = gdl("fit", *SHORT)
    assert result.code == 0, result.err
    assert "Trained for 26 optimizer steps." in result.out
    assert metrics("tabular")["test_auroc"] > 0.5


def test_stop_after_counts_the_steps_of_a_process(gdl: Run) -> None:
    flags = (*SHORT, "--trainer.accumulate_grad_batches", "2", "--resume", "auto")
    assert gdl("fit", *flags, "--stop_after", "5").code == 75
    assert saved_step("tabular") == 5
    result = gdl("fit", *flags, "--stop_after", "4")
    assert result.code == 75
    assert "Stopped by stop_after, saved." in result.out
    assert saved_step("tabular") == 9
    assert gdl("fit", *flags, "--stop_after", "9").code == 0
    assert saved_step("tabular") == 14
    assert gdl("fit", *flags, "--name", "whole").code == 0
    assert metrics("tabular") == metrics("whole")


def test_stop_after_must_be_at_least_1(gdl: Run) -> None:
    result = gdl("fit", *SHORT, "--stop_after", "0")
    assert result.code == 2
    assert "stop_after must be at least 1 (got 0, on the command line)." in result.err


def test_a_limit_cuts_the_sanity_check_short(gdl: Run) -> None:
    Seen.batches = 0
    flags = (
        *SHORT,
        "--callbacks",
        f"{__name__}.Seen",
        "--trainer.num_sanity_val_steps",
        "-1",
        "--data.batch_size",
        "1",
    )
    assert gdl("fit", *flags, "--max_time", "0.0001s").code == 75
    assert Seen.batches == 0
    assert saved_step("tabular") == 0


@pytest.mark.parametrize("limit", [("--max_time", "0.0001s"), ("--stop_after", "2")])
def test_a_run_without_checkpoints_stops_too(limit: tuple[str, str], gdl: Run) -> None:
    result = gdl("fit", *SHORT, "--trainer.enable_checkpointing", "false", *limit)
    assert result.code == 75
    assert "nothing saved" in result.out


WORKERS = """
import torch
from torch.utils.data import DataLoader, TensorDataset
import lightning.pytorch as L
class Points(L.LightningDataModule):
    def train_dataloader(self):
        data = TensorDataset(torch.ones(64, 4))
        return DataLoader(data, batch_size=8, num_workers=2, multiprocessing_context="fork")
class Line(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(4, 1)
    def training_step(self, batch, batch_idx):
        loss = self.net(batch[0]).square().mean()
        self.log("train_loss", loss)
        return loss
"""
WITH_WORKERS = ("--name", "tabular", "--model", "points.Line", "--data", "points.Points", *QUIET)
TWO_RANKS = (*SHORT, "--trainer.devices", "2", "--trainer.strategy", "ddp")


@pytest.mark.parametrize(
    ("flags", "name", "to_all"),
    [
        (WITH_WORKERS, "SIGTERM", True),
        (WITH_WORKERS, "SIGUSR1", True),
        (TWO_RANKS, "SIGTERM", False),
    ],
    ids=["SIGTERM to workers too", "SIGUSR1 to workers too", "SIGTERM to one of two ranks"],
)
def test_all_processes_of_a_run_end_and_the_first_has_the_code(
    flags: tuple[str, ...], name: str, to_all: bool, tmp_path: Path
) -> None:
    (tmp_path / "points.py").write_text(WORKERS)
    command = [
        sys.executable,
        "-m",
        "gdlightning",
        "fit",
        *flags,
        "--trainer.max_epochs",
        "100000",
        "--checkpoint.every_n_steps",
        "5",
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    last = tmp_path / "runs/tabular/version_0/checkpoints/last.ckpt"
    while not last.exists():
        assert process.poll() is None
        time.sleep(0.05)
    (os.killpg if to_all else os.kill)(process.pid, getattr(signal, name))
    out, err = process.communicate(timeout=60)  # until the last process has closed its output
    assert process.returncode == 75, err
    assert "Traceback" not in err
    assert err.count(f"{name}: finishing the step and saving") == 1
    assert f"Stopped by {name}, saved." in out
    assert int(torch.load(last, weights_only=True)["global_step"]) >= 5
