"""Task for testing optimizers: handwritten digits, with a parameter of each kind."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.data.digits import digits as all_digits
from gdlightning.data.loader import BatchLoader, TensorRows
from gdlightning.tasks.task import Task

LEVELS, PIXELS, CLASSES = 17, 64, 10
BATCH = 64


class Digits(Task):
    """Classification of 8 × 8 digits by embedded grey levels; 9,362 weights by default.

    The model has an embedding, a hidden matrix, an output matrix, biases and a norm, which covers
    every kind of parameter that groups distinguish.

    Args:
        sparse: whether the gradient of the embedding is sparse.
        unused: whether to add a layer that does not affect the loss.
        width: width of the hidden layer.
    """

    def __init__(self, sparse: bool = False, unused: bool = False, width: int = 32) -> None:
        super().__init__()
        self.levels = nn.Embedding(LEVELS, 4, sparse=sparse)
        self.hidden = nn.Linear(4 * PIXELS, width)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, CLASSES)
        self.unused = nn.Linear(width, width) if unused else None

    def forward(self, levels: Tensor) -> Tensor:
        """Return the logits [B, 10] for grey levels, int64 [B, 64]."""
        hidden = self.hidden(self.levels(levels).flatten(1))
        logits: Tensor = self.output(F.gelu(self.norm(hidden)))
        return logits

    def loss(self, batch: Any) -> Tensor:
        """Return the cross-entropy."""
        levels, classes = batch
        return F.cross_entropy(self(levels), classes)


def digits() -> TensorRows:
    """Return scikit-learn's 1,797 digits: levels int64 [count, 64] and classes int64 [count]."""
    pixels, classes = all_digits()
    return TensorRows(pixels.flatten(1).long(), classes)


def loader(rows: TensorRows, accumulate: int = 1, rank: int = 0, ranks: int = 1) -> BatchLoader:
    """Return batches of 64 examples per optimizer step, split over processes and accumulation."""
    return BatchLoader(
        rows,
        BATCH // accumulate // ranks,
        shuffle=True,
        rank=rank,
        world_size=ranks,
    )
