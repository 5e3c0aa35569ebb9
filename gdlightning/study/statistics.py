"""Statistics of a few seeds: confidence intervals, paired tests, and required numbers of seeds."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import NormalDist, fmean, stdev

import numpy as np

DRAWS = 10_000
"""Number of bootstrap resamples."""
MIN_BOOTSTRAP_VALUES = 8
"""Number of values below which Student's interval replaces the bootstrap."""
POWER = 0.8
MAX_SEEDS = 1000
ROUNDING = 1e-5
"""Relative difference of scores up to which they count as equal."""


@dataclass(frozen=True)
class Interval:
    """Mean with its confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Paired difference of two optimizers over seeds.

    Attributes:
        first: optimizer with the lower mean.
        second: optimizer with the higher mean.
        gap: difference of the means, second minus first, with its interval.
        p: p-value of the paired test, corrected for all pairs.
        shown: whether the difference is significant.
        seeds: number of seeds.
        needed: number of seeds that would detect a gap of this size; None if more than
            ``MAX_SEEDS``.
    """

    first: str
    second: str
    gap: Interval
    p: float
    shown: bool
    seeds: int
    needed: int | None

    @property
    def words(self) -> str:
        """Description of the difference, with its numbers."""
        gap = f"{self.gap.mean:.3g} ({self.gap.low:.3g} to {self.gap.high:.3g})"
        if self.shown:
            return (
                f"{self.first} is better than {self.second} by {gap} over {self.seeds} seeds "
                f"({_p_value(self.p)})."
            )
        if not math.isfinite(self.gap.mean):
            return f"{self.second} failed on at least one of {self.seeds} seeds."
        if self.gap.low == self.gap.high == 0:
            return f"{self.first} and {self.second} are equal up to rounding for all seeds."
        needed = f"about {self.needed}" if self.needed else f"more than {MAX_SEEDS}"
        return (
            f"No significant difference between {self.first} and {self.second} with "
            f"{number(self.seeds)} seeds: the gap is {gap} ({_p_value(self.p)}). "
            f"Detecting a gap of this size would need {needed} seeds."
        )


def interval(values: Sequence[float], level: float = 0.05, seed: int = 0) -> Interval:
    """Return the mean of a few values with its confidence interval.

    The expanded percentile bootstrap is used: its percentiles make the interval as wide as
    Student's for normal values (Hesterberg 2015, "What Teachers Should Know About the Bootstrap").
    Below ``MIN_BOOTSTRAP_VALUES`` values, Student's interval is used, because resampling cannot
    reach beyond the values.

    Args:
        values: one value per seed.
        level: 1 - confidence level.
        seed: seed of the resampling.
    """
    given = np.asarray(values, dtype=np.float64)
    count = len(given)
    if count < 2 or not np.isfinite(given).all():
        mean = float(given.mean()) if count else math.nan
        return Interval(mean, math.nan, math.nan)
    wide = t_quantile(1 - level / 2, count - 1)
    if count < MIN_BOOTSTRAP_VALUES:
        half = wide * float(given.std(ddof=1)) / math.sqrt(count)
        return Interval(float(given.mean()), float(given.mean()) - half, float(given.mean()) + half)
    draws = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    means = given[draws].mean(axis=1)
    tail = NormalDist().cdf(-wide * math.sqrt(count / (count - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(given.mean()), float(low), float(high))


def compare(scores: Mapping[str, Sequence[float]], level: float = 0.05) -> list[Difference]:
    """Compare all pairs by paired t-tests over seeds with Holm's correction (1979).

    Intervals and required seeds of a pair use the level of its test in Holm's method, so intervals
    of significant differences exclude 0.

    Args:
        scores: score per seed by label, lower is better, with the same seeds for all.
        level: family-wise error rate.
    """
    pairs = list(combinations(scores, 2))
    raw = [paired_p(scores[a], scores[b]) for a, b in pairs]
    order = sorted(range(len(pairs)), key=raw.__getitem__)
    found = []
    for k, ((a, b), p) in enumerate(zip(pairs, holm(raw), strict=True)):
        each = level / (len(pairs) - order.index(k))
        first, second = (a, b) if fmean(scores[a]) <= fmean(scores[b]) else (b, a)
        gaps = _gaps(scores[first], scores[second])
        usable = all(map(math.isfinite, gaps))
        gap = interval(gaps, each) if usable else Interval(math.inf, math.nan, math.nan)
        needed = seeds_needed(gaps, each) if usable else None
        found.append(Difference(first, second, gap, p, p < level, len(gaps), needed))
    return found


def paired_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired t-test; 1 if it cannot be computed."""
    gaps = _gaps(first, second)
    count = len(gaps)
    if count < 2 or not all(map(math.isfinite, gaps)):
        return 1.0
    mean, deviation = fmean(gaps), stdev(gaps)
    if deviation <= 1e-12 * max(1e-300, *map(abs, first), *map(abs, second)):
        return 1.0 if mean == 0 else 0.0
    return 2 * (1 - t_cdf(abs(mean) / deviation * math.sqrt(count), count - 1))


def _gaps(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the differences per seed, second minus first; 0 if all are within rounding."""
    gaps = [y - x for x, y in zip(first, second, strict=True)]
    if max(map(abs, gaps), default=0) <= ROUNDING * max(map(abs, first), default=0):
        return [0.0] * len(gaps)
    return gaps


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected by Holm's method for the family-wise error rate."""
    order = sorted(range(len(values)), key=lambda k: values[k])
    corrected, least = [1.0] * len(values), 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, values[k] * (len(values) - rank)))
        corrected[k] = least
    return corrected


def seeds_needed(gaps: Sequence[float], level: float = 0.05) -> int | None:
    """Return the seeds that detect a gap of this size with a power of 80%; None if too many."""
    if len(gaps) < 2:
        return None
    mean, deviation = abs(fmean(gaps)), stdev(gaps)
    if mean == 0:
        return None
    power = NormalDist().inv_cdf(POWER)

    def enough(count: int) -> bool:
        # The normal power with Student's threshold is an accurate, conservative approximation.
        wanted = t_quantile(1 - level / 2, count - 1) + power
        return mean * math.sqrt(count) >= deviation * wanted

    found = bisect_left(range(2, MAX_SEEDS + 1), True, key=enough) + 2
    return found if found <= MAX_SEEDS else None


def t_cdf(t: float, freedom: int) -> float:
    """Return Student's t distribution function for integer ``freedom`` (Zelen and Severo 1964)."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    if freedom % 2:
        term, total = cosine, 0.0
        for k in range(1, freedom - 1, 2):
            total += term
            term *= cosine * cosine * (k + 1) / (k + 2)
        inside = 2 / math.pi * (angle + sine * total)
    else:
        term, total = 1.0, 0.0
        for k in range(0, freedom - 1, 2):
            total += term
            term *= cosine * cosine * (k + 1) / (k + 2)
        inside = sine * total
    return 0.5 + inside / 2


@lru_cache(maxsize=4096)
def t_quantile(part: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution for a probability above one half."""
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < part else (low, middle)
    return high


def _p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {small(p)}"


def small(p: float) -> str:
    """Format a p-value."""
    return "below 0.001" if p < 0.001 else f"{p:.3f}".rstrip("0").rstrip(".")


def number(count: int) -> str:
    """Return a small number as a word."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)
