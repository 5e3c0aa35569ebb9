"""torch's random state, of the CPU and of all GPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def random_state() -> list[Tensor]:
    """What ``restored`` takes."""
    accelerators = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *accelerators]


def set_random_state(state: Sequence[Tensor]) -> None:
    """Go back to a state."""
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state_all(list(state[1:]))


@contextlib.contextmanager
def restored(state: Sequence[Tensor]) -> Iterator[None]:
    """Draw from a former state within the block; afterwards go on as if there had been none."""
    after = random_state()
    set_random_state(state)
    try:
        yield
    finally:
        set_random_state(after)
