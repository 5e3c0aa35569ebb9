"""Sensitivity to the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

GOOD = 0.05
"""Loss of a good learning rate relative to the best, as a fraction of best to untrained."""


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivity of one optimizer on one workload to the learning rate.

    Attributes:
        points: (learning rate, score), by learning rate, with scores capped at the untrained one.
        low: lower end of the range of good learning rates.
        high: upper end of the range.
        mean_loss: mean loss of score over the points, as a fraction of untrained to best: the
            learning-rate sensitivity of Wortsman et al. (2023), made relative.
    """

    points: list[tuple[float, float]]
    low: float
    high: float
    mean_loss: float

    @property
    def width(self) -> float:
        """Ratio of the upper to the lower end of the good range."""
        return self.high / self.low


def sensitivity(points: Sequence[tuple[float, float]], untrained: float) -> Sensitivity | None:
    """Compute the sensitivity from (learning rate, score) of otherwise equal runs.

    Args:
        points: learning rates with scores, lower is better; infinite scores count as untrained.
        untrained: score before training.

    Returns:
        The sensitivity; None if no run improved on the untrained model.
    """
    capped = sorted((lr, min(s, untrained)) for lr, s in points)
    if len(capped) < 2 or not math.isfinite(untrained):
        return None
    best = min(range(len(capped)), key=lambda k: capped[k][1])
    least = capped[best][1]
    improvement = untrained - least
    if improvement <= 0:
        return None
    limit = least + GOOD * improvement
    low = _crossing(capped[best::-1], limit)
    high = _crossing(capped[best:], limit)
    lost = sum(s - least for _, s in capped) / len(capped) / improvement
    return Sensitivity(capped, low, high, lost)


def _crossing(points: Sequence[tuple[float, float]], limit: float) -> float:
    """Return where the line through the points, over log lr, first exceeds a limit."""
    for (a, x), (b, y) in pairwise(points):
        if y > limit:
            part = (limit - x) / (y - x)
            return float(math.exp(math.log(a) + part * (math.log(b) - math.log(a))))
    return points[-1][0]
