"""The task that optimizers are tried on: handwritten digits, with a parameter of each kind."""

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
    """Classifies 8 × 8 digits by their grey levels, each an embedding; 9,362 weights.

    It holds an embedding, two matrices of which one is the output's, biases and a norm: every kind
    of parameter that groups tell apart.

    Args:
        sparse: the embedding's gradients are sparse.
        unused: has a layer that no loss reaches.
        width: of the hidden layer.
    """

    def __init__(self, sparse: bool = False, unused: bool = False, width: int = 32) -> None:
        super().__init__()
        self.levels = nn.Embedding(LEVELS, 4, sparse=sparse)
        self.hidden = nn.Linear(4 * PIXELS, width)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, CLASSES)
        self.unused = nn.Linear(width, width) if unused else None

    def forward(self, levels: Tensor) -> Tensor:
        """Grey levels, int64 [B, 64] → logits [B, 10]."""
        hidden = self.hidden(self.levels(levels).flatten(1))
        logits: Tensor = self.output(F.gelu(self.norm(hidden)))
        return logits

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy."""
        levels, classes = batch
        return F.cross_entropy(self(levels), classes)


def digits() -> TensorRows:
    """scikit-learn's 1,797 digits: levels int64 [count, 64] and classes int64 [count]."""
    pixels, classes = all_digits()
    return TensorRows(pixels.flatten(1).long(), classes)


def loader(rows: TensorRows, accumulate: int = 1, rank: int = 0, ranks: int = 1) -> BatchLoader:
    """Batches of 64 examples an optimizer step over all processes, in pieces to accumulate."""
    return BatchLoader(
        rows,
        BATCH // accumulate // ranks,
        shuffle=True,
        accumulate=accumulate,
        rank=rank,
        world_size=ranks,
    )
