"""A transformer encoder for series.

Shapes: B series, T time steps, C channels, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdlightning.nets.attention import Block, initialise, positions
from gdlightning.nets.masks import masked_mean, valid

__all__ = ["TransformerEncoder"]


class TransformerEncoder(nn.Module):
    """Transformer encoder over the time steps of a series (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        channels: number of channels C per time step.
        outputs: number of outputs.
        width: model width D.
        depth: number of transformer blocks.
        heads: number of attention heads.
        dropout: dropout probability of the attention weights and of each residual branch.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(2 * width, outputs)
        initialise(self.blocks)

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """Return the outputs [B, outputs] for series [B, T, C] with lengths [B]."""
        mask = valid(lengths, series.shape[1])
        x = self.embed(series.masked_fill(~mask[..., None], 0))  # the padding may hold NaN
        x = x + positions(x.shape[1], x.shape[2], x)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        last = x[torch.arange(x.shape[0], device=x.device), lengths - 1]
        out: Tensor = self.head(torch.cat([masked_mean(x, mask), last], dim=1))
        return out
