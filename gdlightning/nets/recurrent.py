"""Recurrent networks for series.

Shapes: B series, T time steps, C channels, D width.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

__all__ = ["Recurrent"]


class Recurrent(nn.Module):
    """LSTM or GRU with a linear output layer on the final hidden states.

    Series are packed, so padding does not affect the result.

    Args:
        channels: number of channels C per time step.
        outputs: number of outputs.
        cell: ``lstm`` (Hochreiter and Schmidhuber 1997) or ``gru`` (Cho et al. 2014).
        width: hidden size D per direction.
        depth: number of layers.
        bidirectional: whether to read each series in both directions.
        dropout: dropout probability between layers and before the output layer.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        cell: Literal["lstm", "gru"] = "lstm",
        width: int = 64,
        depth: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cell = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](
            channels,
            width,
            depth,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if depth > 1 else 0.0,
        )
        self.directions = 2 if bidirectional else 1
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width * self.directions, outputs)

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """Return the outputs [B, outputs] for series [B, T, C] with lengths [B]."""
        packed = pack_padded_sequence(series, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, state = self.cell(packed)
        hidden = state[0] if isinstance(state, tuple) else state  # [depth * directions, B, D]
        last = torch.cat(list(hidden[-self.directions :]), dim=1)
        out: Tensor = self.head(self.dropout(last))
        return out
