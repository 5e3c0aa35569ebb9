"""One entry per optimizer, as data; no optimizer library is imported."""

from __future__ import annotations

from gdlightning.optimizers.entries import (
    adaptive_momentum,
    adaptive_scaling,
    adaptive_stability,
    extras_estimates,
    extras_heavyball,
    extras_low_bit,
    matrix,
    memory,
    momentum,
    parameter_free,
    torch_optim,
)
from gdlightning.optimizers.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    *torch_optim.ENTRIES,
    *adaptive_momentum.ENTRIES,
    *adaptive_scaling.ENTRIES,
    *adaptive_stability.ENTRIES,
    *matrix.ENTRIES,
    *memory.ENTRIES,
    *momentum.ENTRIES,
    *parameter_free.ENTRIES,
    *extras_estimates.ENTRIES,
    *extras_heavyball.ENTRIES,
    *extras_low_bit.ENTRIES,
)
