"""What tells whether a learning rate is too small or too large: features of a record, and a model.

The model is a multinomial logistic regression over the features below, fitted by
``scripts/verdicts/learning_rate.py`` on some hundred runs; its coefficients are in
lr_classifier.json.
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
POSSIBLE = 0.2
"""Probability that the rate lies on the other side, above which none is told."""
BLOWN = 10.0
"""A loss that stood at this many times its first value was not raised by steps that are too small.
What follows looks like that, though: slow steps from far away."""
PARTS = 20
"""Windows over which losses are smoothed."""
TINY = 1e-300
"""A first loss at most this large is no measure of others."""


@dataclass(frozen=True)
class Signs:
    """What is measured, each without units.

    Attributes:
        gain: median gain ratio.
        late_gain: that of the second half.
        low_gain: median of the lowest quarter.
        overshoots: share of the measured steps with a negative gain.
        still_falling: share of the whole fall of the loss that came in the last half.
        progress: fall of the loss over the loss at the start.
        peak: highest smoothed loss over the loss at the start.
        promised: what the gradients promised in all, over the loss at the start.
        wasted: what they promised over what the loss fell by.
        update_ratio: median norm of the step over that of the weights.
        cosine: median cosine between the gradients of neighbouring steps.
        rebound: the last smoothed loss over the lowest.
        diverged: the loss was not finite.
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

    def features(self) -> list[float]:
        """The numbers that the model takes, on scales where differences count."""
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


NAMES = tuple(Signs.__dataclass_fields__)


def signs(record: RunRecord) -> Signs | None:
    """The signs of a record; None where too little was measured."""
    steps, chosen = record.steps, _at_full_rate(record.steps)
    if len(record.losses) < 2 or not chosen.any() or not math.isfinite(record.losses[0]):
        return None
    count, first = len(record.losses), abs(record.losses[0])
    first = first if first > TINY else 1.0
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
    return Signs(
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


def judged(found: Signs) -> dict[str, float]:
    """Class → probability, by the fitted model."""
    model = _model()
    scaled = [
        (v - m) / s for v, m, s in zip(found.features(), model["mean"], model["scale"], strict=True)
    ]
    scores = [
        b + sum(w * v for w, v in zip(row, scaled, strict=True))
        for row, b in zip(model["weights"], model["bias"], strict=True)
    ]
    top = max(scores)
    return possible(found, [math.exp(s - top) for s in scores])


def possible(found: Signs, shares: Sequence[float]) -> dict[str, float]:
    """Class → probability, from the model's share of each, without a side that can't be."""
    small, fine, large = shares
    if found.peak > BLOWN:
        small = 0.0
    if fine + large == 0 and not small:  # nothing speaks for either
        fine = large = 1.0
    whole = small + fine + large
    return {name: part / whole for name, part in zip(CLASSES, (small, fine, large), strict=True)}


def told(chances: dict[str, float]) -> str:
    """The class to tell: the likeliest, but no side while the other one is possible."""
    likeliest = max(chances, key=lambda name: chances[name])
    small, fine, large = CLASSES
    other = {small: large, large: small}.get(likeliest)
    return fine if other is not None and chances[other] > POSSIBLE else likeliest


@functools.cache
def _model() -> dict[str, list]:  # type: ignore[type-arg]
    found: dict[str, list] = json.loads(FILE.read_text())  # type: ignore[type-arg]
    return found


def _at_full_rate(steps: Steps) -> NDArray[np.bool_]:
    """Which steps are at half the peak learning rate or more: warm-up and decay say less."""
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
