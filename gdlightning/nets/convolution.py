"""A temporal convolutional network.

Shapes: B series, T time steps, C channels, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gdlightning.nets.masks import masked_mean, valid

__all__ = ["TemporalConvolution"]

MAX_DEPTH = 30
"""Maximum number of blocks. With 30 blocks the receptive field already exceeds 10⁹ time steps."""


class Dilated(nn.Module):
    """Residual block of two dilated convolutions, [B, D, T] → [B, D, T].

    Args:
        width: number of channels D.
        kernel: kernel size in time steps; odd.
        dilation: distance between kernel elements in time steps.
        dropout: dropout probability of the block's output.
    """

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        padding = (kernel - 1) // 2 * dilation
        self.conv1 = nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation)
        self.conv2 = nn.Conv1d(width, width, kernel, padding=padding, dilation=dilation)
        self.norm1, self.norm2 = nn.GroupNorm(1, width), nn.GroupNorm(1, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the block's output; ``mask`` [B, 1, T] keeps padded time steps at 0."""
        out = torch.relu(normed(self.norm1, self.conv1(x), mask)) * mask
        out = torch.relu(normed(self.norm2, self.conv2(out), mask))
        result: Tensor = (x + self.dropout(out)) * mask
        return result


def normed(norm: nn.GroupNorm, x: Tensor, mask: Tensor) -> Tensor:
    """Apply layer norm over the channels and the valid time steps.

    Args:
        norm: layer that holds the affine parameters and ``eps``.
        x: input, [B, D, T].
        mask: 1 at valid time steps, 0 at padding, [B, 1, T].
    """
    count = mask.sum(dim=(1, 2), keepdim=True) * x.shape[1]
    mean = (x * mask).sum(dim=(1, 2), keepdim=True) / count
    variance = ((x - mean).square() * mask).sum(dim=(1, 2), keepdim=True) / count
    x = (x - mean) / (variance + norm.eps).sqrt()
    return x * norm.weight[:, None] + norm.bias[:, None]


class TemporalConvolution(nn.Module):
    """Temporal convolutional network with growing dilation (Bai et al. 2018, arXiv:1803.01271).

    Unlike in the paper, convolutions are not causal, because each series is processed as a whole.

    Args:
        channels: number of channels C per time step.
        outputs: number of outputs.
        width: number of hidden channels D.
        depth: number of blocks; the dilation doubles with each block.
        kernel: kernel size in time steps; odd.
        dropout: dropout probability of each block's output.

    Raises:
        ValueError: if ``kernel`` is even or ``depth`` exceeds 30.
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
            raise ValueError(f"kernel must be odd (got {kernel})")
        if depth > MAX_DEPTH:
            raise ValueError(f"depth must be at most {MAX_DEPTH} (got {depth})")
        self.stem = nn.Conv1d(channels, width, 1)
        self.blocks = nn.ModuleList(Dilated(width, kernel, 2**k, dropout) for k in range(depth))
        self.head = nn.Linear(2 * width, outputs)

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """Return the outputs [B, outputs] for series [B, T, C] with lengths [B]."""
        valid_steps = valid(lengths, series.shape[1])
        mask = valid_steps[:, None].to(series.dtype)
        series = series.masked_fill(~valid_steps[..., None], 0)  # the padding may hold NaN
        x = self.stem(series.transpose(1, 2)) * mask
        for block in self.blocks:
            x = block(x, mask)
        steps = x.transpose(1, 2)  # [B, T, D]
        last = steps[torch.arange(steps.shape[0], device=steps.device), lengths - 1]
        out: Tensor = self.head(torch.cat([masked_mean(steps, valid_steps), last], dim=1))
        return out
