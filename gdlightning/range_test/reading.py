"""From the curve of a range test to a range of learning rates and a point in it.

Functions of numbers alone: no model, no file. How often they are right is in docs/lr-find.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gdlightning.errors import UserError

PART, BACK = 0.9, 2.0
"""Of the whole fall of the loss, and what the learning rate at which so much of it has happened is
divided by: the point."""
SIGN = 3.0
"""The point is divided by this, too, for optimizers of signs. Their steps don't become smaller with
the gradient, so that the end of a training needs a smaller learning rate than its start."""
SIDE = 2.0
"""The range reaches from the point divided by this to the point times this."""
WINDOW = 0.15
"""Decades of learning rate over which the median of the loss is taken."""
SMALL, NONE = 0.1, 0.002
"""Falls, as parts of the first loss, that tell little and nothing."""


@dataclass(frozen=True)
class Curve:
    """What a range test measured.

    Attributes:
        lr: of each step, growing by the same factor.
        loss: of the same batches after each step; the last may be no number.
        start: the same loss before.
    """

    lr: tuple[float, ...]
    loss: tuple[float, ...]
    start: float


@dataclass(frozen=True)
class LrRange:
    """What a range test says.

    Attributes:
        low: smallest learning rate that is worth a training.
        point: the one to begin with.
        high: largest learning rate that is worth a training.
        bottom: where the loss stood lowest; beyond it steps do harm.
        notes: what makes it less sure; empty where nothing does.
        curve: that it was read from.
    """

    low: float
    point: float
    high: float
    bottom: float
    notes: tuple[str, ...]
    curve: Curve


def read(curve: Curve, signs: bool = False) -> LrRange:
    """The range and the point of a curve.

    Args:
        curve: of a range test.
        signs: the optimizer's steps are of signs, such as Lion's.

    Raises:
        UserError: the loss did not fall at any learning rate.
    """
    losses = smooth(curve)
    lowest = min(losses, default=math.inf)
    if not curve.start - lowest > NONE * abs(curve.start):
        raise UserError(
            f"The loss did not fall at any learning rate from {curve.lr[0]:.2g} to "
            f"{curve.lr[-1]:.2g}.\nCheck that the data can be learnt and that not all parameters "
            "are frozen; or try another range (lr_min, lr_max) or more steps."
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
    """The learning rate at which a part of the whole fall of the loss has happened first."""
    losses = smooth(curve)
    level = curve.start - part * (curve.start - min(losses))
    k = next(k for k, loss in enumerate(losses) if loss <= level)
    if k == 0:
        return curve.lr[0]
    way = (losses[k - 1] - level) / (losses[k - 1] - losses[k])  # between two steps
    return curve.lr[k - 1] * math.pow(curve.lr[k] / curve.lr[k - 1], way)


def smooth(curve: Curve) -> list[float]:
    """The running median of the loss, up to the first that is no number."""
    whole = next((k for k, v in enumerate(curve.loss) if not math.isfinite(v)), len(curve.loss))
    losses = curve.loss[:whole]
    per_decade = 1 / math.log10(curve.lr[1] / curve.lr[0]) if len(curve.lr) > 1 else 1.0
    half = max(1, round(per_decade * WINDOW / 2))
    ends = (losses[:1] * half, losses[-1:] * half)
    padded = (*ends[0], *losses, *ends[1])
    return [median(padded[k : k + 2 * half + 1]) for k in range(len(losses))]


def rounded(lr: float) -> float:
    """To two digits: no third one is known."""
    return float(f"{lr:.2g}")


def _notes(curve: Curve, losses: Sequence[float], bottom: int, point: float) -> list[str]:
    """What speaks against trusting it."""
    notes = []
    fall = (curve.start - losses[bottom]) / abs(curve.start) if curve.start else math.inf
    if fall < SMALL:
        notes.append(
            f"The loss fell by {100 * fall:.1f} % only: more steps, or a larger batch, tell more."
        )
    if bottom >= len(curve.lr) - 3 and math.isfinite(curve.loss[-1]):
        notes.append(
            f"The loss still fell at {curve.lr[-1]:.2g}: raise lr_max to see all of its fall."
        )
    if point < 10 * curve.lr[0]:
        notes.append(
            f"The loss fell from the first steps on: lower lr_min to well below {point:.2g}."
        )
    return notes
