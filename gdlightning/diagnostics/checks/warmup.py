"""Detect initial steps that are too large without warmup."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

EARLY_SHARE, MIN_WARMUP = 0.1, 0.02
"""Fractions of the run that count as its beginning and that a warmup should last."""
OVERSHOOT_GAIN, MAX_LATE_OVERSHOOTS = -0.5, 0.1
"""Gain ratio of a step that is far too large; fraction of later steps that may overshoot."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report steps that overshoot at the beginning only, with no or a short warmup."""
    count = record.planned
    warmup = record.start.get("warmup")
    if warmup is None or warmup > MIN_WARMUP * count:
        return
    if len(record.losses) < max(50, EARLY_SHARE * count * 3):
        return
    end = max(10, int(EARLY_SHARE * count))
    early = [v for v in record.losses[:end] if math.isfinite(v)]
    over = [(k, g) for k, g in record.gains if k < end and g < OVERSHOOT_GAIN]
    later = [g for k, g in record.gains if k >= end]
    calm = len(later) >= 5 and sum(g < 0 for g in later) <= MAX_LATE_OVERSHOOTS * len(later)
    risen = max(early, default=0.0) / record.first_loss if record.first_loss > 0 else 0.0
    healthy = record.smooth(0.8, 1.0) < 0.9 * record.first_loss
    if not (calm and healthy and over and risen > 1):
        return
    yield Verdict(
        name="warmup-missing" if not warmup else "warmup-too-short",
        severity="note",
        title="The first steps are too large: "
        + ("there is no warmup." if not warmup else f"the warmup of {warmup} steps is too short."),
        evidence=(
            f"The loss increased to {risen:.2g} times its initial value within {end:,} steps; "
            f"step {over[0][0]:,} overshot (gain ratio {over[0][1]:.2g}).",
            "Later steps at this learning rate did not overshoot.",
        ),
        advice=("Set --schedule.warmup 5%.",),
        symptoms=("loss-spikes",),
        picture="gain",
    )
