"""Classify the learning rate of a run as too small, in the good range or too large.

The classifier is a multinomial logistic regression on the features below. It is fitted by
``scripts/verdicts/learning_rate.py`` on several hundred runs; its coefficients are stored in
``lr_classifier.json``.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.step_columns import Numbers, Steps

CLASSES = ("too small", "in the good range", "too large")
FILE = Path(__file__).with_name("lr_classifier.json")
MAX_OPPOSITE = 0.2
"""Probability of the opposite side above which neither side is reported."""
MAX_SMALL_PEAK = 10.0
"""Ratio of the highest loss to the first above which the learning rate cannot be too small.

The run then makes slow progress from a bad point, which would look like a small learning rate.
"""
PARTS = 20
"""Number of windows over which losses are smoothed."""
MIN_FIRST_LOSS = 1e-300
"""Magnitude of the first loss up to which other losses are not divided by it."""


@dataclass(frozen=True)
class Features:
    """Dimensionless features of a run.

    Attributes:
        gain: Median gain ratio.
        late_gain: Median gain ratio of the second half.
        low_gain: Median of the lowest quarter of the gain ratios.
        overshoots: Fraction of the measured steps with a negative gain ratio.
        still_falling: Fraction of the decrease of the loss that came in the second half.
        progress: Decrease of the loss, relative to the initial loss.
        peak: Highest smoothed loss, relative to the initial loss.
        promised: Total decrease predicted by the gradients, relative to the initial loss.
        wasted: Predicted decrease, relative to the actual decrease.
        update_ratio: Median norm of the step, relative to the norm of the weights.
        cosine: Median cosine between the gradients of consecutive steps.
        rebound: Last smoothed loss, relative to the lowest one.
        diverged: True if a loss was non-finite.
    """

    gain: float
    late_gain: float
    low_gain: float
    overshoots: float
    still_falling: float
    progress: float
    peak: float
    promised: float
    wasted: float
    update_ratio: float
    cosine: float
    rebound: float
    diverged: bool

    def vector(self) -> list[float]:
        """Return the transformed features, the input of the classifier."""
        return [
            _overshoot(self.gain),
            _overshoot(self.late_gain),
            min(max(self.low_gain, -5.0), 1.5),
            self.overshoots,
            min(max(self.still_falling, -2.0), 2.0),
            _log(self.progress, 1e-4, 1e2),
            _log(self.peak, 1e-3, 1e8),
            _log(self.promised, 1e-8, 1e8),
            _log(self.wasted, 1e-2, 1e6),
            _log(self.update_ratio, 1e-9, 1e3),
            self.cosine,
            _log(self.rebound, 1.0, 1e2),
            float(self.diverged),
        ]


NAMES = tuple(Features.__dataclass_fields__)


def features_of(record: RunRecord) -> Features | None:
    """Compute the features of a run, or return None if there are too few measurements."""
    steps, chosen = record.steps, _at_full_rate(record.steps)
    if len(record.losses) < 2 or not chosen.any() or not math.isfinite(record.losses[0]):
        return None
    count, first = len(record.losses), abs(record.losses[0])
    first = first if first > MIN_FIRST_LOSS else 1.0
    gain = steps.gain
    late = _seen(gain[chosen & (steps.step >= count // 2)])
    gains = np.sort(_seen(gain[chosen]))
    middle = _median(gains, 1.0)
    level = [record.smooth(k / PARTS, (k + 1) / PARTS) for k in range(PARTS)]
    end, half = record.smooth(0.85, 1.0), record.smooth(0.4, 0.6)
    fallen = max(first - end, 1e-6 * first) if math.isfinite(end) else 1e-6 * first
    slopes = abs(_seen(steps.promised[chosen]))
    promised = sum(slopes.tolist()) / max(1, len(slopes)) * count
    lowest = min((v for v in level if math.isfinite(v)), default=math.nan)
    broken = not all(map(math.isfinite, level))
    return Features(
        gain=middle,
        late_gain=_median(late, middle),
        low_gain=_median(gains[: max(1, len(gains) // 4)], 1.0),
        overshoots=int((gains < 0).sum()) / max(1, len(gains)),
        still_falling=(half - end) / fallen if math.isfinite(half - end) else 0.0,
        progress=fallen / first,
        peak=1e8 if broken else max(level) / first,
        promised=promised / first,
        wasted=promised / fallen,
        update_ratio=_median(_seen(steps.update_ratio[chosen]), 0.0),
        cosine=_cosine(record, chosen),
        rebound=end / max(lowest, 1e-9) if math.isfinite(end) else 1e2,
        diverged=record.diverged is not None,
    )


def class_probabilities(features: Features) -> dict[str, float]:
    """Return the probability of each class."""
    model = _model()
    scaled = [
        (v - m) / s
        for v, m, s in zip(features.vector(), model["mean"], model["scale"], strict=True)
    ]
    scores = [
        b + sum(w * v for w, v in zip(row, scaled, strict=True))
        for row, b in zip(model["weights"], model["bias"], strict=True)
    ]
    top = max(scores)
    return restrict(features, [math.exp(s - top) for s in scores])


def restrict(features: Features, scores: Sequence[float]) -> dict[str, float]:
    """Normalize the scores of the classes after excluding an impossible class.

    Args:
        features: The features of the run.
        scores: The non-negative score of each class, in the order of ``CLASSES``.

    Returns:
        The probability of each class.
    """
    small, fine, large = scores
    if features.peak > MAX_SMALL_PEAK:
        small = 0.0
    if fine + large == 0 and not small:  # both scores underflowed
        fine = large = 1.0
    whole = small + fine + large
    return {name: part / whole for name, part in zip(CLASSES, (small, fine, large), strict=True)}


def choose_class(chances: dict[str, float]) -> str:
    """Return the most likely class, or the good range while both sides are possible."""
    likeliest = max(chances, key=lambda name: chances[name])
    small, fine, large = CLASSES
    other = {small: large, large: small}.get(likeliest)
    return fine if other is not None and chances[other] > MAX_OPPOSITE else likeliest


@functools.cache
def _model() -> dict[str, list]:  # type: ignore[type-arg]
    found: dict[str, list] = json.loads(FILE.read_text())  # type: ignore[type-arg]
    return found


def _at_full_rate(steps: Steps) -> NDArray[np.bool_]:
    """Return a mask of the steps at half of the peak learning rate or more."""
    lr = steps.lr
    peak = lr[~np.isnan(lr)].max(initial=0.0)
    chosen: NDArray[np.bool_] = np.isnan(lr) | (lr >= peak / 2)
    return chosen


def _cosine(record: RunRecord, chosen: NDArray[np.bool_]) -> float:
    place, cosine = record.cosines
    return _median(_seen(cosine[chosen[place]]), 0.0)


def _seen(values: Numbers) -> Numbers:
    return values[np.isfinite(values)]


def _median(values: Numbers, default: float) -> float:
    return float(np.median(values)) if len(values) else default


def _overshoot(gain: float) -> float:
    return _log(1 - gain, 1e-4, 10.0)


def _log(value: float, low: float, high: float) -> float:
    return math.log10(min(max(value, low), high)) if value == value else math.log10(low)
