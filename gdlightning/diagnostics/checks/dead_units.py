"""Rectified units that give 0 for every example of a batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

MOST, MANY = 0.9, 0.5
"""Share of a layer's units, above which it passes next to nothing; or much less than it could."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Layers whose units are dead in the last half of what was measured."""
    dead = record.steps.dead
    known = [~np.isnan(v) for v in dead.values()]
    seen = np.flatnonzero(np.any(known, axis=0)) if known else np.empty(0, np.int64)
    if not len(seen):
        return
    begin, steps = len(seen) // 2, record.steps.step[seen].tolist()
    shares = {name: np.nan_to_num(v[seen]) for name, v in dead.items() if not np.isnan(v[seen[-1]])}
    least = {name: float(v[begin:].min()) for name, v in shares.items()}
    bad = {k: v for k, v in sorted(least.items(), key=lambda kv: -kv[1]) if v > MANY}
    if not bad:
        return
    name, share = next(iter(bad.items()))
    early = float(shares[name][0])
    since = "from the first step on" if early > MANY else f"{early:.0%} at the first step"
    yield Verdict(
        name="dead-units",
        severity="fault" if share > MOST else "warning",
        title=f"{share:.0%} of the units of {name} are dead.",
        evidence=(
            f"They gave 0 for all examples of each measured batch since step {steps[begin]:,}; "
            f"{since}.",
            *(f"Also {k}: {v:.0%}." for k, v in list(bad.items())[1:4]),
        ),
        advice=("a smaller --optimizer.lr and a warm-up, if they died in training",
                "smaller initial biases, or another activation (GELU, SiLU, leaky ReLU)"),
        symptoms=(
            "plateau", "vanishing-gradients", "lr-too-small", "saddle", "nothing-carries-over"
        ),
        first=0 if early > MANY else steps[begin],
        picture="units",
    )  # fmt: skip
