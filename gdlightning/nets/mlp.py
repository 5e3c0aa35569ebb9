"""Networks for tabular data: linear model, multi-layer perceptron and residual network.

Shapes: B rows, F numeric features, C categorical columns, D width, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["MLP", "Linear", "ResidualMLP"]

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
Activation = Literal["relu", "gelu", "silu", "tanh"]


class Features(nn.Module):
    """Concatenation of numeric features [B, F] and embedded categorical columns [B, C].

    Args:
        numeric: number of numeric features F.
        cardinalities: number of categories of each categorical column.
        width: embedding size; if None, min(32, 1.6 · cardinality^0.56).
    """

    def __init__(
        self, numeric: int, cardinalities: Sequence[int], width: int | None = None
    ) -> None:
        super().__init__()
        sizes = [width or min(32, round(1.6 * c**0.56)) for c in cardinalities]
        self.embeddings = nn.ModuleList(
            nn.Embedding(c, size) for c, size in zip(cardinalities, sizes, strict=True)
        )
        self.outputs = numeric + sum(sizes)

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """Return the features of each row, [B, D]."""
        parts = [embed(codes[:, k]) for k, embed in enumerate(self.embeddings)]
        return torch.cat([numeric, *parts], dim=1)


class Linear(nn.Module):
    """Linear or logistic regression.

    Args:
        numeric: number of numeric features F.
        cardinalities: number of categories of each categorical column.
        outputs: number of outputs O: the number of classes, or 1 for regression.
    """

    def __init__(self, numeric: int, cardinalities: list[int], outputs: int) -> None:
        super().__init__()
        self.features = Features(numeric, cardinalities)
        self.head = nn.Linear(self.features.outputs, outputs)

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """Return the outputs [B, O] for numeric features [B, F] and category codes [B, C]."""
        out: Tensor = self.head(self.features(numeric, codes))
        return out


class MLP(nn.Module):
    """Multi-layer perceptron.

    Args:
        numeric: number of numeric features F.
        cardinalities: number of categories of each categorical column.
        outputs: number of outputs O: the number of classes, or 1 for regression.
        hidden: width of each hidden layer; if None, two layers of 64.
        dropout: dropout probability of the hidden units.
        activation: activation function of the hidden layers.
    """

    def __init__(
        self,
        numeric: int,
        cardinalities: list[int],
        outputs: int,
        hidden: list[int] | None = None,
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.features = Features(numeric, cardinalities)
        layers: list[nn.Module] = []
        width = self.features.outputs
        for size in [64, 64] if hidden is None else hidden:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation](), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, outputs)

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """Return the outputs [B, O] for numeric features [B, F] and category codes [B, C]."""
        out: Tensor = self.head(self.layers(self.features(numeric, codes)))
        return out


class Block(nn.Module):
    """Pre-norm residual block of two linear layers, [B, D] → [B, D]."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output [B, D]."""
        out: Tensor = x + self.dropout(self.narrow(torch.relu(self.widen(self.norm(x)))))
        return out


class ResidualMLP(nn.Module):
    """Residual network for tabular data (Gorishniy et al. 2021, arXiv:2106.11959), with layer norm.

    Args:
        numeric: number of numeric features F.
        cardinalities: number of categories of each categorical column.
        outputs: number of outputs O: the number of classes, or 1 for regression.
        width: width D of the residual stream.
        depth: number of residual blocks.
        expansion: hidden width of a block as a multiple of ``width``.
        dropout: dropout probability of each block's output.
    """

    def __init__(
        self,
        numeric: int,
        cardinalities: list[int],
        outputs: int,
        width: int = 64,
        depth: int = 3,
        expansion: float = 2.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.features = Features(numeric, cardinalities)
        self.stem = nn.Linear(self.features.outputs, width)
        inner = round(width * expansion)
        self.blocks = nn.Sequential(*(Block(width, inner, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """Return the outputs [B, O] for numeric features [B, F] and category codes [B, C]."""
        x = self.blocks(self.stem(self.features(numeric, codes)))
        out: Tensor = self.head(torch.relu(self.norm(x)))
        return out
