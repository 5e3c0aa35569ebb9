"""Networks for tables: linear, multi-layer perceptron, residual.

B rows, F numeric features, C categorical columns, D width of a layer, O outputs.
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
    """Numeric features beside embeddings of categorical columns: [B, F] and [B, C] → [B, D]."""

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
        """All features of a row side by side."""
        parts = [embed(codes[:, k]) for k, embed in enumerate(self.embeddings)]
        return torch.cat([numeric, *parts], dim=1)


class Linear(nn.Module):
    """Linear or logistic regression.

    Args:
        numeric: number of numeric features.
        cardinalities: number of codes of each categorical column.
        outputs: numbers predicted: classes, or 1.
    """

    def __init__(self, numeric: int, cardinalities: list[int], outputs: int) -> None:
        super().__init__()
        self.features = Features(numeric, cardinalities)
        self.head = nn.Linear(self.features.outputs, outputs)

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        """[B, F] and [B, C] → [B, O]."""
        out: Tensor = self.head(self.features(numeric, codes))
        return out


class MLP(nn.Module):
    """A multi-layer perceptron.

    Args:
        numeric: number of numeric features.
        cardinalities: number of codes of each categorical column.
        outputs: numbers predicted: classes, or 1.
        hidden: width of each hidden layer; 64, 64 if not given.
        dropout: part of the hidden units dropped in training.
        activation: between layers.
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
        """[B, F] and [B, C] → [B, O]."""
        out: Tensor = self.head(self.layers(self.features(numeric, codes)))
        return out


class Block(nn.Module):
    """Norm, widen, activate, narrow, added to what came in: [B, D] → [B, D]."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, inner), nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The input and its correction."""
        out: Tensor = x + self.dropout(self.narrow(torch.relu(self.widen(self.norm(x)))))
        return out


class ResidualMLP(nn.Module):
    """A residual network for tables (Gorishniy et al. 2021, arXiv:2106.11959), with layer norm.

    Args:
        numeric: number of numeric features.
        cardinalities: number of codes of each categorical column.
        outputs: numbers predicted: classes, or 1.
        width: of the residual stream.
        depth: number of blocks.
        expansion: inner width of a block over ``width``.
        dropout: part of a block's outputs dropped in training.
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
        """[B, F] and [B, C] → [B, O]."""
        x = self.blocks(self.stem(self.features(numeric, codes)))
        out: Tensor = self.head(torch.relu(self.norm(x)))
        return out
