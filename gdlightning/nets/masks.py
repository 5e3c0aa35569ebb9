"""Series of different lengths in one padded tensor."""

from __future__ import annotations

import torch
from torch import Tensor


def valid(lengths: Tensor, steps: int) -> Tensor:
    """Which of ``steps`` positions each series has: lengths [B] → bool [B, T]."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the positions that are there: [B, T, D] and bool [B, T] → [B, D]."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
