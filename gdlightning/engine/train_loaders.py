"""The loaders that a training takes its batches from."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from gdlightning import internals


def train_loaders(trainer: L.Trainer) -> list[Any]:
    """All of them, as Lightning holds them once training has begun."""
    if not internals.private_names():
        loaders = trainer.train_dataloader
        return [] if loaders is None else CombinedLoader(loaders).flattened
    combined = internals.combined_loader(trainer)
    return list(combined.flattened) if isinstance(combined, CombinedLoader) else []


def indexed_loader(trainer: L.Trainer) -> Any:
    """The one whose ``index`` tells which examples its last batch holds; None if there is none."""
    return next((ld for ld in train_loaders(trainer) if hasattr(ld, "index")), None)
