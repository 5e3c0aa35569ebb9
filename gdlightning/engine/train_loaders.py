"""The training loaders, and the indices of the current batch."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from gdlightning import internals


def batch_indices(trainer: L.Trainer) -> Any:
    """Return the indices of the examples of the current training batch.

    Returns:
        int64 [B] from the first loader that stores them in ``index``, or None.
    """
    loader: Any = trainer.train_dataloader
    if hasattr(loader, "index"):
        return loader.index
    if isinstance(loader, list | tuple | dict):
        return next((p.index for p in train_loaders(trainer) if hasattr(p, "index")), None)
    return None


def train_loaders(trainer: L.Trainer) -> list[Any]:
    """Return all training loaders; empty before training."""
    if not internals.private_names():
        loaders = trainer.train_dataloader
        return [] if loaders is None else CombinedLoader(loaders).flattened
    combined = internals.combined_loader(trainer)
    return list(combined.flattened) if isinstance(combined, CombinedLoader) else []
