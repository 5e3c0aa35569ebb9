"""Detect saddle points and sharp minima from measurements of the Hessian."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

SADDLE_RATIO = 0.1
"""Minimum magnitude of the negative eigenvalue at a saddle, as a fraction of the largest one."""
MAX_GAIN = 0.01
"""Upper bound on the possible decrease along a small gradient, as a fraction of the loss."""
MAX_PROGRESS = 0.02
"""Upper bound on the decrease in the last half of a stuck run, as a fraction of the first loss."""
EDGE_SHARE, FLAT_SHARE = 0.8, 0.05
"""Fractions of the stability limit above which a minimum is at the edge, below which it is flat."""
MIN_MEASUREMENTS = 3
"""Measurements needed in the last third of a run."""
EDGE_ADVICE = (
    "Decay the learning rate, for example with --schedule cosine, to reach a sharper minimum.",
    "Set --optimizer sam, or reduce --data.batch_size, to reach a flatter one.",
)
CAVEAT = (
    "Sharpness alone does not predict test accuracy: rescaling layers changes it without "
    "changing the function."
)


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report saddle points, and sharp or flat minima."""
    if record.curvature:
        yield from _saddle(record, record.curvature)
        yield from _sharpness(record.curvature)
    else:
        yield from _along(record)


def _along(record: RunRecord) -> Iterator[Verdict]:
    """Report the edge of stability from λ·lr of single batches in the last third of the run."""
    shares = {
        step: found["times_lr"] / found["limit"]
        for step, found in record.sharpness.items()
        if found["times_lr"] is not None and found["limit"]
    }
    late = [share for step, share in shares.items() if step > 2 / 3 * len(record.losses)]
    if len(late) < MIN_MEASUREMENTS or not median(late) > EDGE_SHARE:
        return
    since = next(step for step, share in shares.items() if share > EDGE_SHARE)
    yield Verdict(
        name="edge-of-stability",
        severity="note",
        title=f"The run is at the edge of stability since step {since:,}.",
        evidence=(
            f"In the last third, the median λ·lr of single batches is {median(late):.0%} of the "
            f"optimizer's stability limit ({len(late)} measurements).",
            CAVEAT,
        ),
        advice=EDGE_ADVICE,
        picture="loss",
    )


def _saddle(record: RunRecord, found: dict[str, Any]) -> Iterator[Verdict]:
    top, bottom = _value(found["top"]), _value(found["bottom"])
    if math.isnan(bottom) or not top > 0:
        return
    lowest = found["bottom"][0]
    highest = bottom + (lowest["bound"] or 0.0) + (lowest["sampling"] or 0.0)
    norm = _or_nan(found["gradient_norm"])
    gain = norm * norm / (2 * top)
    if not highest < -SADDLE_RATIO * top or not gain < MAX_GAIN * abs(_or_nan(found["loss"])):
        return
    still = record.smooth(0.4, 0.6) - record.smooth(0.9, 1.0) < MAX_PROGRESS * record.first_loss
    stuck = still and record.smooth(0.9, 1.0) > 0.5 * record.first_loss
    yield Verdict(
        name="saddle",
        severity="warning" if stuck else "note",
        title="The run is at a saddle point: small gradient, negative curvature.",
        evidence=(
            f"The smallest eigenvalue is {bottom:.3g} (±{lowest['bound'] or 0.0:.1g}), the "
            f"largest {top:.3g}.",
            f"A step along the gradient can reduce the loss of {found['loss']:.4g} by "
            f"{gain:.2g} at most.",
        ),
        advice=(
            "Use momentum or an adaptive optimizer, for example --optimizer adamw.",
            "Increase --optimizer.lr, or reduce --data.batch_size to add gradient noise.",
            "Increase the scale of the initial weights if the run starts at the saddle.",
        ),
        symptoms=("plateau", "lr-too-small"),
        picture="loss",
    )


def _value(measured: Sequence[dict[str, Any]]) -> float:
    """Return the value of the first measurement, or NaN if there is none."""
    return _or_nan(measured[0]["value"]) if measured else math.nan


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _sharpness(found: dict[str, Any]) -> Iterator[Verdict]:
    stability = found.get("stability")
    top = _value(found["top"])
    sharp = found.get("adaptive_sharpness", {}).get("value")
    if not stability or not stability.get("limit"):
        return
    product = _or_nan(stability["at_peak"]["value"])  # a schedule may have ended at 0
    share = product / stability["limit"]
    adaptive = f", the adaptive sharpness {sharp:.3g}" if sharp else ""
    evidence = (
        f"The largest eigenvalue is {top:.3g}{adaptive}.",
        f"λ·lr at the peak learning rate is {product:.3g}; the stability limit of "
        f"{found['optimizer']} is {stability['limit']:.3g} ({stability['formula']}).",
        CAVEAT,
    )
    if share > EDGE_SHARE:
        yield Verdict(
            name="edge-of-stability",
            severity="note",
            title=f"The minimum is at the edge of stability: λ·lr is {share:.0%} of the limit.",
            evidence=evidence,
            advice=EDGE_ADVICE,
        )
    elif share < FLAT_SHARE:
        yield Verdict(
            name="flat-minimum",
            severity="fine",
            title=f"The minimum is flat for this learning rate: λ·lr is {share:.1%} of the limit.",
            evidence=evidence,
        )
