"""A linear model on bags of words. B texts, N words in all, O outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["BagOfWords"]


class BagOfWords(nn.Module):
    """Each word has a weight for each output: a linear model, stored as an embedding.

    A step touches only the words of its batch: the gradients are sparse tensors for optimizers
    that take them (SGD, Adagrad, SparseAdam), and dense for all others.

    Args:
        features: number of words or buckets.
        outputs: numbers predicted: classes.
        sparse: let gradients be sparse where the optimizer takes them.
    """

    def __init__(self, features: int, outputs: int, sparse: bool = True) -> None:
        super().__init__()
        self.weights = nn.EmbeddingBag(features, outputs, mode="sum", sparse=sparse)
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.zeros_(self.weights.weight)

    def forward(self, words: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        """[N], [B] and [N] → [B, O]."""
        logits: Tensor = self.weights(words, offsets, per_sample_weights=weights) + self.bias
        return logits
