"""Detect a loss that is non-finite or far above its initial value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

MAX_RATIO, MAX_RATIO_FEW_STEPS = 1.5, 10.0
"""Ratios of the smoothed loss to the first loss above which a run has diverged.

The second one applies to runs of fewer than 20 steps.
"""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report divergence with the events that preceded it."""
    broken, last = record.diverged, record.smooth(0.9, 1.0)
    far = MAX_RATIO if len(record.losses) >= 20 else MAX_RATIO_FEW_STEPS
    begin = max(record.first_loss, record.smooth(0.0, 0.1))
    high = len(record.losses) >= 5 and last > far * begin
    if broken is None and not high:
        return
    where = broken if broken is not None else _began(record)
    evidence = [
        f"The loss is non-finite at step {broken:,}."
        if broken is not None
        else f"The loss increased from {record.first_loss:.4g} to {last:.4g} (median of the last "
        "tenth)."
    ]
    before = [s for s in record.spikes if s["step"] <= where][-1:]
    evidence += [_spike(s) for s in before]
    over = [(step, gain) for step, gain in record.gains if gain < 0 and step <= where][-1:]
    evidence += [
        f"Step {step:,} increased the loss of its own batch (gain ratio {gain:.2g})."
        for step, gain in over
    ]
    grown = _growth(record, where)
    if grown > 10:
        evidence.append(f"The gradient norm had increased {grown:.3g}-fold by then.")
    yield Verdict(
        name="diverged",
        severity="fault",
        title=f"The run diverged at about step {where:,}.",
        evidence=tuple(evidence),
        advice=(
            "Lower --optimizer.lr to a third.",
            "Set --clip norm --clip.max_norm 1.0.",
            "Set --schedule.warmup 5%.",
        ),
        symptoms=("plateau", "overfitting", "loss-spikes"),
        first=where,
        picture="loss",
    )


def _began(record: RunRecord) -> int:
    """Return the step from which the loss stayed above its initial value."""
    good = np.flatnonzero(np.array(record.losses) <= record.first_loss)
    begin = int(good[-1]) + 1 if len(good) else 0
    return begin if begin < len(record.losses) else 0


def _growth(record: RunRecord, where: int) -> float:
    norms = record.steps.grad_norm
    norms = norms[(record.steps.step <= where) & np.isfinite(norms)]
    return float(norms[-1] / norms[0]) if len(norms) > 1 and norms[0] > 0 else 1.0


def _spike(spike: dict[str, object]) -> str:
    return (
        f"At step {spike['step']:,}, the loss was {spike['loss']:.4g}; "
        f"before, it was typically {spike['typical']:.4g}."
    )
