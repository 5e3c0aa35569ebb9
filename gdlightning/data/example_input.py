"""Synthetic example inputs of a net, for ``gdl export``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Input:
    """One input of a net.

    Args:
        name: The name of the input in exported files.
        value: An example value.
        axes: The names of the dimensions of variable length, such as ``{0: "batch"}``.
    """

    name: str
    value: Tensor
    axes: Mapping[int, str]


def some_numbers(*shape: int) -> Tensor:
    """Return reproducible normally distributed float32 values of a shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def some_codes(below: int, *shape: int) -> Tensor:
    """Return reproducible int64 values from 0 to ``below`` - 1 of a shape."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(0, max(1, below), shape, generator=generator)


def some_series(count: int, channels: int) -> tuple[Input, Input]:
    """Return padded series [B, T, C] and their lengths [B], the longest first."""
    steps = some_numbers(count, count + 4, channels)
    lengths = torch.arange(count + 4, 4, -1)
    return Input("steps", steps, {0: "batch", 1: "steps"}), Input("lengths", lengths, {0: "batch"})
