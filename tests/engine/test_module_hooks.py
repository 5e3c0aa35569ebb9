"""Modules that create their layers after the constructor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from helpers import QUIET, Run
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))


class Points(L.LightningDataModule):
    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), 8)


class Base(L.LightningModule):
    net: Any

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss: Tensor = (self.net(batch[0]) - batch[1]).square().mean()
        return loss


class InSetup(Base):
    def setup(self, stage: str) -> None:
        self.net = nn.Linear(4, 1)


class InConfigureModel(Base):
    def configure_model(self) -> None:
        if not hasattr(self, "net"):
            self.net = nn.Linear(4, 1)


class Lazy(Base):
    def __init__(self, example: bool = False) -> None:
        super().__init__()
        self.net = nn.LazyLinear(1)
        if example:
            self.example_input_array = X[:2]

    def forward(self, x: Tensor) -> Any:
        return self.net(x)


class Empty(Base):
    pass


FIT = (
    "fit",
    *QUIET,
    "--data",
    f"{__name__}.Points",
    "--trainer.max_epochs",
    "3",
    "--optimizer",
    "adamw",
    "--optimizer.lr",
    "0.05",
)


def weights(name: str) -> dict[str, Tensor]:
    path = Path(f"runs/{name}/version_0/checkpoints/last.ckpt")
    found: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


@pytest.mark.parametrize(
    "model", [("InSetup",), ("InConfigureModel",), ("Lazy", "--model.example", "true")]
)
def test_layers_that_are_created_later_train_and_resume(model: tuple[str, ...], gdl: Run) -> None:
    flags = (*FIT, "--model", f"{__name__}.{model[0]}", *model[1:])
    done = gdl(*flags, "--name", "twin")
    assert done.code == 0, done.err
    assert gdl(*flags, "--stop_after", "10").code == 75
    done = gdl(*flags, "--resume", "auto")
    assert done.code == 0, done.err
    expected, found = weights("twin"), weights("run")
    assert expected["net.weight"].shape == (1, 4)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("Lazy", "The shape of net.weight is unknown: its layer is lazy"),
        ("Empty", "Empty has no parameters to train"),
    ],
)
def test_the_true_reason_is_reported(model: str, said: str, gdl: Run) -> None:
    done = gdl(*FIT, "--model", f"{__name__}.{model}")
    assert done.code == 2
    assert said in done.err
    assert not Path("runs").exists()
