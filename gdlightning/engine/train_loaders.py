"""The training loaders, and what they know of the current batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import lightning.pytorch as L
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from gdlightning import internals


class BatchInfo(NamedTuple):
    """What the loader knows of the batch that it returned last.

    Attributes:
        weight: factor of the loss, so that accumulated batches of unequal size have the mean
            gradient of all their examples; 1.0 without accumulation.
        indices: indices of the examples, int64 [B]; None if the loader does not store them.
    """

    weight: float = 1.0
    indices: Any = None


def batch_info(trainer: L.Trainer) -> BatchInfo:
    """Return the weight and the indices of the current training batch.

    The weight is read from a single loader, the indices from the first loader that stores them.
    """
    loader: Any = trainer.train_dataloader
    weight = getattr(loader, "weight", 1.0)
    if hasattr(loader, "index"):
        return BatchInfo(weight, loader.index)
    if isinstance(loader, list | tuple | dict):
        indexed = (part.index for part in train_loaders(trainer) if hasattr(part, "index"))
        return BatchInfo(weight, next(indexed, None))
    return BatchInfo(weight)


def set_batch_weight(trainer: L.Trainer, weight: float) -> None:
    """Set the weight of the current batch, when an earlier batch is evaluated again."""
    loader: Any = trainer.train_dataloader
    if hasattr(loader, "weight"):
        loader.weight = weight


def train_loaders(trainer: L.Trainer) -> list[Any]:
    """Return all training loaders; empty before training."""
    if not internals.private_names():
        loaders = trainer.train_dataloader
        return [] if loaders is None else CombinedLoader(loaders).flattened
    combined = internals.combined_loader(trainer)
    return list(combined.flattened) if isinstance(combined, CombinedLoader) else []
