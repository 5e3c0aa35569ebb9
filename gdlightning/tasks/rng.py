"""The random state of torch on the CPU and all GPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def random_state() -> list[Tensor]:
    """Return the random state of the CPU and all GPUs."""
    accelerators = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *accelerators]


def set_random_state(state: Sequence[Tensor]) -> None:
    """Set the random state to one from ``random_state``."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state_all(list(state[1:]))


@contextlib.contextmanager
def restored(state: Sequence[Tensor]) -> Iterator[None]:
    """Use an earlier random state within the block, and return to the current one afterwards."""
    after = random_state()
    set_random_state(state)
    try:
        yield
    finally:
        set_random_state(after)
