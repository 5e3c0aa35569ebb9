"""Masks for series of different lengths in one padded tensor."""

from __future__ import annotations

import torch
from torch import Tensor


def valid(lengths: Tensor, steps: int) -> Tensor:
    """Return a mask [B, steps] that is True where a position is within its series' length [B]."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean [B, D] of ``x`` [B, T, D] over the positions where ``mask`` [B, T] is set."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
