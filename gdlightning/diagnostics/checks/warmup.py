"""Steps at the beginning that were too large for an untrained net."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

EARLY, SHORT = 0.1, 0.02
"""Share of the training that is its beginning, and that a warm-up should have."""
FAR, CALM = -0.5, 0.1
"""Gain ratio of a step that is far too large; share of later steps that may overshoot."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Whether training stumbled at the start alone, without a warm-up."""
    count = record.planned
    warmup = record.start.get("warmup")
    if warmup is None or warmup > SHORT * count or len(record.losses) < max(50, EARLY * count * 3):
        return
    end = max(10, int(EARLY * count))
    early = [v for v in record.losses[:end] if math.isfinite(v)]
    over = [(k, g) for k, g in record.gains if k < end and g < FAR]
    later = [g for k, g in record.gains if k >= end]
    calm = len(later) >= 5 and sum(g < 0 for g in later) <= CALM * len(later)
    risen = max(early, default=0.0) / record.first_loss if record.first_loss > 0 else 0.0
    healthy = record.smooth(0.8, 1.0) < 0.9 * record.first_loss
    if not (calm and healthy and over and risen > 1):
        return
    yield Verdict(
        name="warmup-missing" if not warmup else "warmup-too-short",
        severity="note",
        title="The first steps were too large: "
        + ("there is no warm-up." if not warmup else f"the warm-up of {warmup} steps is short."),
        evidence=(
            f"The loss rose to {risen:.2g} times its first value within {end:,} steps; "
            f"the step at {over[0][0]:,} overshot (gain {over[0][1]:.2g}).",
            "Later steps at this learning rate did not.",
        ),
        advice=("--schedule.warmup 5%",),
        symptoms=("loss-spikes",),
        picture="gain",
    )
