"""What a net is fed, told without any data: for ``gdl export``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Input:
    """One input of a net.

    Args:
        name: what it is called in exported files.
        value: an example of it.
        axes: the axes whose length varies, and what each of them counts; ``batch`` is one.
    """

    name: str
    value: Tensor
    axes: Mapping[int, str]


def some_numbers(*shape: int) -> Tensor:
    """Float32 values about 0, the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def some_codes(below: int, *shape: int) -> Tensor:
    """Int64 values from 0 to below a number, the same each time."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(0, max(1, below), shape, generator=generator)


def some_series(count: int, channels: int) -> tuple[Input, Input]:
    """Padded series [B, T, C] of different lengths [B], the longest first."""
    steps = some_numbers(count, count + 4, channels)
    lengths = torch.arange(count + 4, 4, -1)
    return Input("steps", steps, {0: "batch", 1: "steps"}), Input("lengths", lengths, {0: "batch"})
