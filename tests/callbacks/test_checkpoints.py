"""A run that is resumed from a checkpoint ends like an uninterrupted run."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from helpers import QUIET, Run

AVERAGED = """
import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader, TensorDataset

class Points(L.LightningDataModule):
    def train_dataloader(self):
        x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), 4, shuffle=True)

class Line(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(3, 1)
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = (self.net(x) - y).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss
"""


@pytest.fixture
def averaged(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return the command of a run of 20 steps that logs the mean loss of its two epochs."""
    Path("averaged.py").write_text(AVERAGED)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "averaged", raising=False)
    return (
        "fit",
        "--model",
        "averaged.Line",
        "--data",
        "averaged.Points",
        *QUIET,
        "--trainer.max_epochs",
        "2",
        "--trainer.log_every_n_steps",
        "1",
        "--resume",
        "auto",
    )


def epoch_means(name: str) -> list[float]:
    """Return the mean losses of the epochs of a run."""
    with Path(f"runs/{name}/version_0/metrics.csv").open(newline="") as stream:
        return [float(r["loss_epoch"]) for r in csv.DictReader(stream) if r["loss_epoch"]]


def test_a_stop_before_the_first_batch_keeps_the_means_of_the_epoch(
    averaged: tuple[str, ...], gdl: Run
) -> None:
    assert gdl(*averaged, "--name", "whole").code == 0
    assert gdl(*averaged, "--name", "parts", "--stop_after", "13").code == 75
    assert gdl(*averaged, "--name", "parts", "--max_time", "0.001s").code == 75
    result = gdl(*averaged, "--name", "parts", "--max_time", "1h")
    assert "from step 13." in result.out
    assert epoch_means("parts") == epoch_means("whole")
