"""A temporal convolution network for series. B series, T steps, C channels, D width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdlightning.nets.masks import masked_mean, valid

__all__ = ["TemporalConvolution"]

DEEPEST = 30
"""Blocks: with as many one convolution reaches a thousand million steps."""


class Dilated(nn.Module):
    """Two dilated convolutions added to their input, [B, D, T] → [B, D, T].

    Args:
        width: D.
        kernel: steps that a convolution sees, odd.
        dilation: steps between them.
        dropout: part of the outputs dropped in training.
    """

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = (kernel - 1) // 2 * dilation
        self.conv1 = nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation)
        self.conv2 = nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation)
        self.norm1, self.norm2 = nn.GroupNorm(1, width), nn.GroupNorm(1, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The input and its correction; ``mask`` [B, 1, T] keeps padding at 0."""
        out = torch.relu(normed(self.norm1, self.conv1(x), mask)) * mask
        out = torch.relu(normed(self.norm2, self.conv2(out), mask))
        result: Tensor = (x + self.dropout(out)) * mask
        return result


def normed(norm: nn.GroupNorm, x: Tensor, mask: Tensor) -> Tensor:
    """Layer norm over channels and the steps that are there, padding left out of its mean."""
    count = mask.sum(dim=(1, 2), keepdim=True) * x.shape[1]
    mean = (x * mask).sum(dim=(1, 2), keepdim=True) / count
    variance = ((x - mean).square() * mask).sum(dim=(1, 2), keepdim=True) / count
    x = (x - mean) / (variance + norm.eps).sqrt()
    return x * norm.weight[:, None] + norm.bias[:, None]


class TemporalConvolution(nn.Module):
    """Convolutions over time with growing dilation (Bai et al. 2018, arXiv:1803.01271).

    Here they look both ways, since a whole series is classified or continued at once.

    Args:
        channels: C, numbers a step.
        outputs: numbers predicted.
        width: D, channels inside.
        depth: blocks; the dilation doubles with each.
        kernel: steps that a convolution sees, odd.
        dropout: part of each block's outputs dropped in training.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        width: int = 64,
        depth: int = 3,
        kernel: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; write an odd number")
        if depth > DEEPEST:
            raise ValueError(
                f"depth is {depth}; write {DEEPEST} at most: each block doubles the reach"
            )
        self.stem = nn.Conv1d(channels, width, 1)
        self.blocks = nn.ModuleList(Dilated(width, kernel, 2**k, dropout) for k in range(depth))
        self.head = nn.Linear(2 * width, outputs)

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, C] and their lengths [B] → [B, outputs]."""
        there = valid(lengths, series.shape[1])
        mask = there[:, None].to(series.dtype)
        series = series.masked_fill(~there[..., None], 0)  # whatever the padding is
        x = self.stem(series.transpose(1, 2)) * mask
        for block in self.blocks:
            x = block(x, mask)
        steps = x.transpose(1, 2)  # [B, T, D]
        last = steps[torch.arange(steps.shape[0], device=steps.device), lengths - 1]
        out: Tensor = self.head(torch.cat([masked_mean(steps, there), last], dim=1))
        return out
