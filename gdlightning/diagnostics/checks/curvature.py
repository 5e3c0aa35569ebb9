"""Saddles and sharp minima, where the Hessian was measured: at the end, or while it trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

NEGATIVE = 0.1
"""Share of the largest eigenvalue, by which the smallest lies below 0 at a saddle."""
SMALL = 0.01
"""Share of the loss that a step along the gradient could gain at most, where it is small."""
STILL = 0.02
"""Share of the first loss, by which the last half of a training that stands still falls at most."""
EDGE, FLAT = 0.8, 0.05
"""Share of the stability limit, from which a minimum is at its edge, or below which it is flat."""
FEWEST = 3
"""Measurements in the last third of a training, to judge by."""
EDGE_ADVICE = (
    "a learning rate that decays lets it settle in a sharper minimum",
    "--optimizer sam, or smaller batches, for a flatter one",
)
CAVEAT = (
    "Sharpness alone does not predict test accuracy, and rescaling layers changes it without "
    "changing the function."
)


def find(record: RunRecord) -> Iterator[Verdict]:
    """What the ends of the spectrum say of the last checkpoint."""
    if record.curvature:
        yield from _saddle(record, record.curvature)
        yield from _sharpness(record.curvature)
    else:
        yield from _along(record)


def _along(record: RunRecord) -> Iterator[Verdict]:
    """Where λ·lr of single batches stood in the last third of the training."""
    shares = {
        step: found["times_lr"] / found["limit"]
        for step, found in record.sharpness.items()
        if found["times_lr"] is not None and found["limit"]
    }
    late = [share for step, share in shares.items() if step > 2 / 3 * len(record.losses)]
    if len(late) < FEWEST or not median(late) > EDGE:
        return
    since = next(step for step, share in shares.items() if share > EDGE)
    yield Verdict(
        name="edge-of-stability",
        severity="note",
        title=f"The loss is as sharp as the learning rate allows, for the first time at step "
        f"{since:,}.",
        evidence=(
            f"λ·lr of single batches is at {median(late):.0%} of the optimizer's limit in the "
            f"last third, by {len(late)} measurements.",
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
    surely = bottom + (lowest["bound"] or 0.0) + (lowest["sampling"] or 0.0)
    norm = _or_nan(found["gradient_norm"])
    gain = norm * norm / (2 * top)
    if not surely < -NEGATIVE * top or not gain < SMALL * abs(_or_nan(found["loss"])):
        return
    still = record.smooth(0.4, 0.6) - record.smooth(0.9, 1.0) < STILL * record.first_loss
    stuck = still and record.smooth(0.9, 1.0) > 0.5 * record.first_loss
    yield Verdict(
        name="saddle",
        severity="warning" if stuck else "note",
        title="The training is at a saddle: the gradient is small, and the loss curves down.",
        evidence=(
            f"Smallest eigenvalue {bottom:.3g} (±{lowest['bound'] or 0.0:.1g}), largest {top:.3g}.",
            f"A step along the gradient could gain {gain:.2g} at most, of a loss of "
            f"{found['loss']:.4g}.",
        ),
        advice=(
            "momentum or an adaptive optimizer, which leave saddles sooner: --optimizer adamw",
            "a larger --optimizer.lr, or a smaller --data.batch_size, whose noise helps",
            "larger initial weights, where it began there",
        ),
        symptoms=("plateau", "lr-too-small"),
        picture="loss",
    )


def _value(measured: Sequence[dict[str, Any]]) -> float:
    """The first of some measured numbers; NaN where there is none."""
    return _or_nan(measured[0]["value"]) if measured else math.nan


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _sharpness(found: dict[str, Any]) -> Iterator[Verdict]:
    stands = found.get("stability")
    top = _value(found["top"])
    sharp = found.get("adaptive_sharpness", {}).get("value")
    told = [
        f"Largest eigenvalue {top:.3g}" + (f", adaptive sharpness {sharp:.3g}." if sharp else ".")
    ]
    if not stands or not stands.get("limit"):
        return
    product = _or_nan(stands["at_peak"]["value"])  # a schedule may have ended at 0
    share = product / stands["limit"]
    told.append(f"λ·lr at the peak rate is {product:.3g}, and {found['optimizer']} is stable below "
                f"{stands['limit']:.3g} ({stands['formula']}).")  # fmt: skip
    told.append(CAVEAT)
    if share > EDGE:
        yield Verdict(
            name="edge-of-stability",
            severity="note",
            title=f"The minimum is as sharp as the learning rate allows: λ·lr is at {share:.0%} of "
            "the limit.",
            evidence=tuple(told),
            advice=EDGE_ADVICE,
        )  # fmt: skip
    elif share < FLAT:
        yield Verdict(
            name="flat-minimum",
            severity="fine",
            title=f"The loss is flat for this learning rate: λ·lr is at {share:.1%} of the limit.",
            evidence=tuple(told),
        )
