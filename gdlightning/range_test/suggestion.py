"""Suggestion of learning rates from the curve of a range test.

The functions only use numbers. docs/lr-find.md evaluates how often they are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gdlightning.errors import UserError

PART, BACK = 0.9, 2.0
"""The suggested point is the learning rate at which the loss has made this fraction of its total
decrease, divided by BACK."""
SIGN = 3.0
"""Additional divisor for sign-based optimizers. Their steps do not shrink with the gradient, so the
end of a run needs a smaller learning rate than its start."""
SIDE = 2.0
"""The suggested range extends from the point divided by this to the point times this."""
WINDOW = 0.15
"""Width of the running median of the loss, in decades of the learning rate."""
SMALL, NONE = 0.1, 0.002
"""Decreases relative to the initial loss that are unreliable, and too small to use."""


@dataclass(frozen=True)
class Curve:
    """Measurements of a range test.

    Attributes:
        lr: learning rate of each step, growing by a constant factor.
        loss: loss on the tracked batches after each step; the last may be non-finite.
        start: loss before the first step.
    """

    lr: tuple[float, ...]
    loss: tuple[float, ...]
    start: float


@dataclass(frozen=True)
class LrRange:
    """Learning rates suggested by a range test.

    Attributes:
        low: smallest learning rate worth trying.
        point: suggested learning rate.
        high: largest learning rate worth trying.
        bottom: learning rate with the lowest loss, beyond which steps increase it.
        notes: reasons for less confidence; empty if there are none.
        curve: curve of the range test.
    """

    low: float
    point: float
    high: float
    bottom: float
    notes: tuple[str, ...]
    curve: Curve


def read(curve: Curve, signs: bool = False) -> LrRange:
    """Return the learning rates that a curve suggests.

    Args:
        curve: curve of a range test.
        signs: whether the optimizer is sign-based, such as Lion.

    Raises:
        UserError: if the loss did not fall at any learning rate.
    """
    losses = smooth(curve)
    lowest = min(losses, default=math.inf)
    if not curve.start - lowest > NONE * abs(curve.start):
        raise UserError(
            f"The loss did not fall at any learning rate from {curve.lr[0]:.2g} to "
            f"{curve.lr[-1]:.2g}.\nCheck that the data is learnable and that parameters are "
            "trainable, or use a different range (lr_min, lr_max) or more steps."
        )
    bottom = losses.index(lowest)
    point = rounded(at_part(curve, PART) / (BACK * SIGN if signs else BACK))
    return LrRange(
        rounded(point / SIDE),
        point,
        rounded(point * SIDE),
        rounded(curve.lr[bottom]),
        tuple(_notes(curve, losses, bottom, point)),
        curve,
    )


def at_part(curve: Curve, part: float) -> float:
    """Return the learning rate at which the loss first made a fraction of its total decrease."""
    losses = smooth(curve)
    level = curve.start - part * (curve.start - min(losses))
    k = next(k for k, loss in enumerate(losses) if loss <= level)
    if k == 0:
        return curve.lr[0]
    fraction = (losses[k - 1] - level) / (losses[k - 1] - losses[k])
    return curve.lr[k - 1] * math.pow(curve.lr[k] / curve.lr[k - 1], fraction)


def smooth(curve: Curve) -> list[float]:
    """Return the running median of the loss, up to the first non-finite value."""
    whole = next((k for k, v in enumerate(curve.loss) if not math.isfinite(v)), len(curve.loss))
    losses = curve.loss[:whole]
    per_decade = 1 / math.log10(curve.lr[1] / curve.lr[0]) if len(curve.lr) > 1 else 1.0
    half = max(1, round(per_decade * WINDOW / 2))
    ends = (losses[:1] * half, losses[-1:] * half)
    padded = (*ends[0], *losses, *ends[1])
    return [median(padded[k : k + 2 * half + 1]) for k in range(len(losses))]


def rounded(lr: float) -> float:
    """Round to two digits, as a third one would not be significant."""
    return float(f"{lr:.2g}")


def _notes(curve: Curve, losses: Sequence[float], bottom: int, point: float) -> list[str]:
    """Return reasons for less confidence in the result."""
    notes = []
    fall = (curve.start - losses[bottom]) / abs(curve.start) if curve.start else math.inf
    if fall < SMALL:
        notes.append(f"The loss only fell by {100 * fall:.1f}%. Use more steps or a larger batch.")
    if bottom >= len(curve.lr) - 3 and math.isfinite(curve.loss[-1]):
        notes.append(
            f"The loss was still falling at {curve.lr[-1]:.2g}. Raise lr_max to see the minimum."
        )
    if point < 10 * curve.lr[0]:
        notes.append(f"The loss fell from the first step. Lower lr_min to well below {point:.2g}.")
    return notes
