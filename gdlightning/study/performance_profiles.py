"""Performance profiles over several workloads (Dolan and Moré 2002, scored as in AlgoPerf)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

MAX_RATIO = 4.0
"""Upper limit of τ for the area under a profile, as in AlgoPerf."""


def profiles(
    times: Mapping[str, Mapping[str, float]],
) -> dict[str, list[tuple[float, float]]]:
    """Return the performance profile of each optimizer.

    A profile gives, for each τ, the fraction of workloads on which the optimizer needs at most τ
    times the time of the fastest.

    Args:
        times: steps or seconds to the target by optimizer and workload; infinite if not reached.

    Returns:
        Corners (τ, fraction) of step functions from τ = 1 to ``MAX_RATIO``, by optimizer.
    """
    workloads = sorted({w for t in times.values() for w in t})
    fastest = {w: min(t.get(w, math.inf) for t in times.values()) for w in workloads}
    found = {}
    for name, own in times.items():
        ratios = sorted(
            max(1.0, own.get(w, math.inf) / fastest[w])
            for w in workloads
            if 0 < fastest[w] < math.inf and own.get(w, math.inf) < math.inf
        )
        corners = [(1.0, sum(r <= 1 for r in ratios) / len(workloads))]
        for rank, ratio in enumerate(ratios, 1):
            if 1 < ratio <= MAX_RATIO:
                corners.append((ratio, rank / len(workloads)))
        found[name] = [*corners, (MAX_RATIO, corners[-1][1])]
    return found


def area(profile: list[tuple[float, float]]) -> float:
    """Return the mean height of a profile, 0 to 1, which is the score of AlgoPerf."""
    total = sum((b[0] - a[0]) * a[1] for a, b in pairwise(profile))
    return total / (MAX_RATIO - 1)
