"""Best checkpoints of modules with any metric names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from helpers import QUIET, Run
from torch import Tensor, nn
from torch.utils.data import DataLoader

X = torch.linspace(0, 1, 32)[:, None]


class Points(L.LightningDataModule):
    def train_dataloader(self) -> Any:
        return DataLoader(X, 8)  # type: ignore[arg-type]

    def val_dataloader(self) -> Any:
        return DataLoader(X, 32)  # type: ignore[arg-type]


class Logs(L.LightningModule):
    """Logs a validation loss under a name, best after the second epoch."""

    def __init__(self, metric: str) -> None:
        super().__init__()
        self.net, self.metric = nn.Linear(1, 1), metric

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.net(batch).square().mean()
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log(self.metric, torch.tensor([3.0, 1.0, 2.0][self.current_epoch]))


FIT = (
    "fit",
    *QUIET,
    "--model",
    f"{__name__}.Logs",
    "--data",
    f"{__name__}.Points",
    "--trainer.max_epochs",
    "3",
    "--trainer.num_sanity_val_steps",
    "0",
)


@pytest.mark.parametrize("name", ["val/loss", "valid_loss", "validation_loss", "Loss/val"])
def test_usual_names_of_a_validation_loss_keep_the_best(name: str, gdl: Run) -> None:
    done = gdl(*FIT, "--model.metric", name)
    assert done.code == 0, done.err
    assert f"val_loss is not logged; {name} decides which checkpoint is best" in done.err
    (best,) = Path("runs/run/version_0/checkpoints").glob("best-*.ckpt")
    assert best.name == "best-epoch=1-step=8.ckpt"


def test_a_monitor_that_is_not_logged_is_reported_once(gdl: Run) -> None:
    done = gdl(*FIT, "--model.metric", "score")
    assert done.code == 0, done.err
    assert "no best checkpoint is kept. Logged metrics: score." in done.err
    assert done.err.count("is not logged") == 1
    assert not list(Path("runs/run/version_0/checkpoints").glob("best-*.ckpt"))
    done = gdl(*FIT, "--model.metric", "score", "--checkpoint.monitor", "score")
    assert "is not logged" not in done.err
    assert list(Path("runs/run/version_1/checkpoints").glob("best-epoch=1-*.ckpt"))
