"""A linear model on bags of words.

Shapes: B texts, N words in total, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["BagOfWords"]


class BagOfWords(nn.Module):
    """Linear model with one weight per word and output, stored as an ``nn.EmbeddingBag``.

    A step only touches the words of its batch. Gradients are sparse tensors if the optimizer
    supports them (SGD, Adagrad, SparseAdam), and dense otherwise.

    Args:
        features: vocabulary size or number of hash buckets.
        outputs: number of outputs O, such as classes.
        sparse: whether to use sparse gradients if the optimizer supports them.
    """

    def __init__(self, features: int, outputs: int, sparse: bool = True) -> None:
        super().__init__()
        self.weights = nn.EmbeddingBag(features, outputs, mode="sum", sparse=sparse)
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.zeros_(self.weights.weight)

    def forward(self, words: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        """Return the logits [B, O].

        Args:
            words: word indices of all texts, [N].
            offsets: position in ``words`` at which each text starts, [B].
            weights: weight of each word, [N].
        """
        logits: Tensor = self.weights(words, offsets, per_sample_weights=weights) + self.bias
        return logits
