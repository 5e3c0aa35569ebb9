"""Performance profiles over several workloads (Dolan and Moré 2002, as AlgoPerf scores them)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

MOST = 4.0
"""Times the fastest, up to which the area under a profile is taken, as AlgoPerf does."""


def profiles(
    times: Mapping[str, Mapping[str, float]],
) -> dict[str, list[tuple[float, float]]]:
    """Optimizer → (τ, share of workloads on which it needs at most τ times the fastest's time).

    Args:
        times: optimizer → workload → steps or seconds to the target; infinite where it never
            gets there.

    Returns:
        The corners of step functions, from τ = 1 to ``MOST``.
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
            if 1 < ratio <= MOST:
                corners.append((ratio, rank / len(workloads)))
        found[name] = [*corners, (MOST, corners[-1][1])]
    return found


def area(profile: list[tuple[float, float]]) -> float:
    """The mean height of a profile, 0 to 1: AlgoPerf's score."""
    total = sum((b[0] - a[0]) * a[1] for a, b in pairwise(profile))
    return total / (MOST - 1)
