"""Detect ReLU units that output 0 for every example of a batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

FAULT_SHARE, WARNING_SHARE = 0.9, 0.5
"""Fractions of dead units in a layer above which a fault or a warning is reported."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report layers whose units are dead in the second half of the measured steps."""
    dead = record.steps.dead
    known = [~np.isnan(v) for v in dead.values()]
    seen = np.flatnonzero(np.any(known, axis=0)) if known else np.empty(0, np.int64)
    if not len(seen):
        return
    begin, steps = len(seen) // 2, record.steps.step[seen].tolist()
    shares = {name: np.nan_to_num(v[seen]) for name, v in dead.items() if not np.isnan(v[seen[-1]])}
    least = {name: float(v[begin:].min()) for name, v in shares.items()}
    bad = {k: v for k, v in sorted(least.items(), key=lambda kv: -kv[1]) if v > WARNING_SHARE}
    if not bad:
        return
    name, share = next(iter(bad.items()))
    early = float(shares[name][0])
    start = (
        "They were dead from the start."
        if early > WARNING_SHARE
        else (f"At the first measured step, {early:.0%} were dead.")
    )
    yield Verdict(
        name="dead-units",
        severity="fault" if share > FAULT_SHARE else "warning",
        title=f"{share:.0%} of the units of {name} are dead.",
        evidence=(
            f"Since step {steps[begin]:,}, they output 0 for all examples of each measured batch. "
            f"{start}",
            *(f"In {k}, {v:.0%} are dead." for k, v in list(bad.items())[1:4]),
        ),
        advice=(
            "Lower --optimizer.lr and set --schedule.warmup 5% if the units died during the run.",
            "Otherwise, initialize biases near 0, or use GELU, SiLU or leaky ReLU.",
        ),
        symptoms=(
            "plateau",
            "vanishing-gradients",
            "lr-too-small",
            "saddle",
            "nothing-carries-over",
        ),
        first=0 if early > WARNING_SHARE else steps[begin],
        picture="units",
    )
