"""Optimizer steps per epoch and per run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

import gdlightning as gdl
from gdlightning.data.tabular import SklearnTabular
from gdlightning.engine.step_counts import StepCounts, planned_steps, trainer_steps
from gdlightning.errors import UserError
from gdlightning.nets.mlp import MLP
from gdlightning.tasks.tabular import TabularClassification


class Ones(Dataset[Tensor]):
    """Eight examples."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        return torch.ones(2)


class Stream(IterableDataset[Tensor]):
    """A dataset without a length."""

    def __iter__(self) -> Iterator[Tensor]:
        yield from torch.ones(8, 2)


class Mean(L.LightningModule):
    """Fit a weight to batches of ones."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.rates: list[float] = []

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        loss: Tensor = self.layer(batch).square().mean()
        return loss


def trainer_of(**options: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        **options,
    )


class Counts(L.Callback):
    """Stop at the first step, with the step counts at hand."""

    found: StepCounts | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.found = trainer_steps(trainer)
        trainer.should_stop = True


@pytest.mark.parametrize(
    ("options", "total", "per_epoch"),
    [
        ({"max_epochs": 3}, 45, 15),
        ({"max_steps": 20, "max_epochs": -1}, 20, 15),
        ({"max_epochs": 3, "max_steps": 20}, 20, 15),
        ({"max_epochs": 2, "accumulate_grad_batches": 4}, 8, 4),
        ({"max_epochs": 2, "limit_train_batches": 5}, 10, 5),
        ({"max_epochs": 2, "limit_train_batches": 0.5}, 14, 7),
        ({"max_epochs": 2, "overfit_batches": 2}, 4, 2),
    ],
)
def test_config_and_trainer_agree(options: dict[str, Any], total: int, per_epoch: int) -> None:
    data = SklearnTabular(dataset="breast_cancer", batch_size=32)
    data.setup()
    assert len(data.loader("train")) == 15
    assert planned_steps(options, data) == StepCounts(total, per_epoch)
    module = TabularClassification(MLP(30, [], 2, hidden=[4]), outputs=2)
    counts = Counts()
    trainer = trainer_of(callbacks=[counts], min_steps=0, **options)
    trainer.fit(gdl.optimize(module, "sgd", lr=0.1), datamodule=data)
    assert counts.found == StepCounts(total, per_epoch)


def test_warmup_in_epochs_when_only_the_steps_are_limited() -> None:
    module = gdl.optimize(Mean(), "sgd", lr=1.0, schedule={"name": "constant", "warmup": "1 epoch"})
    data = DataLoader(Ones(), batch_size=2)
    trainer_of(max_steps=6).fit(module, data)
    assert module.rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])  # four steps of warmup


def test_warmup_in_epochs_needs_the_length_of_the_data() -> None:
    module = gdl.optimize(
        Mean(), "sgd", lr=1.0, schedule={"name": "constant", "warmup": "2 epochs"}
    )
    with pytest.raises(UserError, match=r"(?s)schedule\.warmup .* epochs.*no length.*in steps"):
        trainer_of(max_steps=6).fit(module, DataLoader(Stream(), batch_size=2))
    assert not module.rates
    trainer_of(max_steps=8, limit_train_batches=2).fit(module, DataLoader(Stream(), batch_size=2))
    assert module.rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"max_epochs": 3}, r"no length\.\nSet trainer\.max_steps or trainer\.limit_train_batches"),
        (
            {"max_epochs": -1},
            r"is unknown\.\nSet trainer\.max_epochs or trainer\.max_steps",
        ),
    ],
)
def test_a_decay_needs_the_number_of_steps(options: dict[str, Any], hint: str) -> None:
    module = gdl.optimize(Mean(), "sgd", lr=1.0, schedule="cosine")
    with pytest.raises(UserError, match=f"(?s)schedule cosine needs .*{hint}"):
        trainer_of(**options).fit(module, DataLoader(Stream(), batch_size=2))
    assert not module.rates
