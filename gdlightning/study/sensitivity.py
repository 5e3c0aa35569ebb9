"""How much depends on the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

GOOD = 0.05
"""Part of the way from best to untrained that a good learning rate may lose."""


@dataclass(frozen=True)
class Sensitivity:
    """Of one optimizer on one workload.

    Attributes:
        points: (learning rate, score), by learning rate; scores no worse than untrained.
        low: lower end of the good range.
        high: its upper end.
        mean_loss: what is lost on average over the points, as part of the way from untrained to
            best: the learning-rate sensitivity of Wortsman et al. (2023), made relative.
    """

    points: list[tuple[float, float]]
    low: float
    high: float
    mean_loss: float

    @property
    def width(self) -> float:
        """How many times its lower end the upper end of the good range is."""
        return self.high / self.low


def sensitivity(points: Sequence[tuple[float, float]], untrained: float) -> Sensitivity | None:
    """From (learning rate, score) of trainings that differ in nothing else.

    Args:
        points: less is better; infinite scores count as untrained.
        untrained: the score before training.
    """
    capped = sorted((lr, min(s, untrained)) for lr, s in points)
    if len(capped) < 2 or not math.isfinite(untrained):
        return None
    best = min(range(len(capped)), key=lambda k: capped[k][1])
    least = capped[best][1]
    way = untrained - least
    if way <= 0:
        return None
    limit = least + GOOD * way
    low = _crossing(capped[best::-1], limit)
    high = _crossing(capped[best:], limit)
    lost = sum(s - least for _, s in capped) / len(capped) / way
    return Sensitivity(capped, low, high, lost)


def _crossing(points: Sequence[tuple[float, float]], limit: float) -> float:
    """Where the straight line through the points, over log lr, first goes above a limit."""
    for (a, x), (b, y) in pairwise(points):
        if y > limit:
            part = (limit - x) / (y - x)
            return float(math.exp(math.log(a) + part * (math.log(b) - math.log(a))))
    return points[-1][0]
