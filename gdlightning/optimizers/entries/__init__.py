"""One entry per optimizer, as data; no optimizer library is imported."""

from __future__ import annotations

from gdlightning.optimizers.entries import (
    extras_estimates,
    extras_heavyball,
    extras_low_bit,
    pytorch_optimizer_adaptive_momentum,
    pytorch_optimizer_adaptive_scaling,
    pytorch_optimizer_adaptive_stability,
    pytorch_optimizer_matrix,
    pytorch_optimizer_memory,
    pytorch_optimizer_momentum,
    pytorch_optimizer_parameter_free,
    torch_optim,
)
from gdlightning.optimizers.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    *torch_optim.ENTRIES,
    *pytorch_optimizer_adaptive_momentum.ENTRIES,
    *pytorch_optimizer_adaptive_scaling.ENTRIES,
    *pytorch_optimizer_adaptive_stability.ENTRIES,
    *pytorch_optimizer_matrix.ENTRIES,
    *pytorch_optimizer_memory.ENTRIES,
    *pytorch_optimizer_momentum.ENTRIES,
    *pytorch_optimizer_parameter_free.ENTRIES,
    *extras_estimates.ENTRIES,
    *extras_heavyball.ENTRIES,
    *extras_low_bit.ENTRIES,
)
