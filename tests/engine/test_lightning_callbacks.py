"""Lightning's own callbacks train as they do with Lightning alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from helpers import QUIET, Run
from lightning.pytorch import callbacks as lightning_callbacks
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

X = torch.randn(72, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)

pytestmark = pytest.mark.filterwarnings("ignore")


class Points(L.LightningDataModule):
    def __init__(self, batch_size: int = 8) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(X, Y), self.batch_size)

    def val_dataloader(self) -> Any:
        return DataLoader(TensorDataset(X, Y), 48)


class Tuned(L.LightningModule):
    """A backbone with batch norm, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))
        self.head = nn.Linear(8, 1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss: Tensor = (self.head(self.backbone(batch[0]).relu()) - batch[1]).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("val_loss", self.training_step(batch, batch_idx))

    def configure_optimizers(self) -> Any:
        trained = [p for p in self.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)]


CALLBACKS: dict[str, dict[str, Any]] = {
    "StochasticWeightAveraging": {"swa_lrs": 0.01, "swa_epoch_start": 2, "annealing_epochs": 2},
    "BackboneFinetuning": {"unfreeze_backbone_at_epoch": 2},
    "EarlyStopping": {"monitor": "val_loss", "patience": 1, "min_delta": 10.0},
    "BatchSizeFinder": {"steps_per_trial": 1, "max_trials": 2, "init_val": 4},
}


def flags(name: str) -> tuple[str, ...]:
    options = "".join(f", {key}: {value}" for key, value in CALLBACKS[name].items())
    callback = f"[{{name: lightning.pytorch.callbacks.{name}{options}}}]"
    return (
        "fit",
        *QUIET,
        "--model",
        f"{__name__}.Tuned",
        "--data",
        f"{__name__}.Points",
        "--trainer.max_epochs",
        "6",
        "--callbacks",
        callback,
        "--monitor.every",
        "0",
        "--trainer.num_sanity_val_steps",
        "0",
    )


def weights(name: str) -> dict[str, Tensor]:
    path = Path(f"runs/{name}/version_0/checkpoints/last.ckpt")
    found: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_of_lightning_change_training_as_in_lightning(name: str, gdl: Run) -> None:
    done = gdl(*flags(name))
    assert done.code == 0, done.err
    module, callback = Tuned(), getattr(lightning_callbacks, name)(**CALLBACKS[name])
    L.Trainer(
        max_epochs=6,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
        num_sanity_val_steps=0,
    ).fit(module, datamodule=Points())
    found = weights("run")
    for key, value in module.state_dict().items():
        assert torch.equal(found[key], value), key


def test_layers_unfrozen_by_a_callback_stay_so_after_a_resume(gdl: Run) -> None:
    fine = flags("BackboneFinetuning")
    assert gdl(*fine, "--name", "twin").code == 0
    assert gdl(*fine, "--stop_after", "30").code == 75  # unfrozen at step 18
    assert gdl(*fine, "--resume", "auto").code == 0
    expected, found = weights("twin"), weights("run")
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert not torch.equal(found["backbone.0.weight"], Tuned().state_dict()["backbone.0.weight"])
