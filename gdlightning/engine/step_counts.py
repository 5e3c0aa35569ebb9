"""Optimizer steps per epoch and per run, from a Trainer or from a config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L

from gdlightning.data.data_module import DataModule


@dataclass(frozen=True)
class StepCounts:
    """Numbers of optimizer steps.

    Args:
        total: steps of the whole run; None if it has no known end.
        per_epoch: steps per epoch, at least 1; None if the number of batches is unknown.
    """

    total: int | None
    per_epoch: int | None


def trainer_steps(trainer: L.Trainer) -> StepCounts:
    """Return the step counts of a Trainer that is fitting; it sets up its data if necessary."""
    if trainer.train_dataloader is None:  # else its number of batches is not known yet
        trainer.fit_loop.setup_data()
    total, batches = trainer.estimated_stepping_batches, trainer.num_training_batches
    per_epoch = None
    if not math.isinf(batches):
        per_epoch = max(1, math.ceil(batches / trainer.accumulate_grad_batches))
    return StepCounts(None if math.isinf(total) or total < 0 else int(total), per_epoch)


def planned_steps(options: Mapping[str, Any], data: L.LightningDataModule | None) -> StepCounts:
    """Return the step counts that options of the Trainer lead to, before there is a Trainer.

    Args:
        options: options of the Trainer by name.
        data: loaded data; the number of batches is only known for a ``DataModule``.

    Returns:
        The counts of a run on one device.
    """
    accumulate = options.get("accumulate_grad_batches") or 1
    steps, epochs = options.get("max_steps"), options.get("max_epochs")
    per_epoch = None
    if isinstance(data, DataModule):
        batches = len(data.loader("train"))
        limit = options.get("overfit_batches") or options.get("limit_train_batches")
        if isinstance(limit, int) and limit > 0:
            batches = min(batches, limit)
        elif isinstance(limit, float):
            batches = int(batches * limit)
        per_epoch = max(1, math.ceil(batches / (data.pieces if data.pieces > 1 else accumulate)))
    totals = [steps] if steps and steps > 0 else []
    if per_epoch is not None and epochs is not None and epochs > 0:
        totals.append(epochs * per_epoch)
    return StepCounts(min(totals, default=None), per_epoch)
