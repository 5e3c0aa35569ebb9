"""What a few seeds can show: intervals, paired tests, the number of seeds that would be needed."""

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
FEW = 8
POWER = 0.8
MOST_SEEDS = 1000
ROUNDING = 1e-5
"""Share of the scores, within which all gaps of a pair are rounding and no difference."""


@dataclass(frozen=True)
class Interval:
    """A mean and where it may lie."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Two optimizers beside each other, seed by seed.

    Attributes:
        first: the one whose mean is lower.
        second: the other.
        gap: of the means, second less first; its interval.
        p: of the paired test, corrected for all pairs.
        shown: whether that is below the level.
        seeds: how many there were.
        needed: how many would show a gap of this size; None where more than ``MOST_SEEDS`` would.
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
        """What the figures say, and no more."""
        gap = f"{self.gap.mean:.3g} ({self.gap.low:.3g} to {self.gap.high:.3g})"
        if self.shown:
            return (
                f"{self.first} is better than {self.second} by {gap} on {self.seeds} seeds, "
                f"p {small(self.p)}."
            )
        if not math.isfinite(self.gap.mean):
            return f"{self.second} failed on at least one of {self.seeds} seeds."
        if self.gap.low == self.gap.high == 0:
            return (
                f"{self.first} and {self.second} come out the same, up to rounding, on each of "
                f"{self.seeds} seeds."
            )
        more = (
            f"about {self.needed} would be needed for a gap of this size"
            if self.needed
            else f"more than {MOST_SEEDS} would be needed for a gap of this size"
        )
        return (
            f"No difference between {self.first} and {self.second} that {number(self.seeds)} seeds "
            f"can show: the gap is {gap}, p {small(self.p)}; {more}."
        )


def interval(values: Sequence[float], level: float = 0.05, seed: int = 0) -> Interval:
    """The mean of a few values with its bootstrap interval.

    The percentiles are set so that the interval is as wide as Student's for normal values
    (the expanded percentile interval; Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap"). Below ``FEW`` values it is Student's own, since resampling reaches no further than
    the values themselves.

    Args:
        values: one a seed.
        level: 1 - confidence.
        seed: of the resampling.
    """
    given = np.asarray(values, dtype=np.float64)
    count = len(given)
    if count < 2 or not np.isfinite(given).all():
        mean = float(given.mean()) if count else math.nan
        return Interval(mean, math.nan, math.nan)
    wide = t_quantile(1 - level / 2, count - 1)
    if count < FEW:
        half = wide * float(given.std(ddof=1)) / math.sqrt(count)
        return Interval(float(given.mean()), float(given.mean()) - half, float(given.mean()) + half)
    draws = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    means = given[draws].mean(axis=1)
    tail = NormalDist().cdf(-wide * math.sqrt(count / (count - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(given.mean()), float(low), float(high))


def compare(scores: Mapping[str, Sequence[float]], level: float = 0.05) -> list[Difference]:
    """All pairs, by Student's paired test over seeds, corrected after Holm (1979).

    Interval and needed seeds of a pair are those of the level at which Holm's method tests it, so
    that the interval of a claim leaves out 0.

    Args:
        scores: label → a score for each seed, less is better; the same seeds for all.
        level: the chance of any false claim among all pairs.
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
    """Two-sided p of Student's paired test; 1 where it can't be made."""
    gaps = _gaps(first, second)
    count = len(gaps)
    if count < 2 or not all(map(math.isfinite, gaps)):
        return 1.0
    mean, deviation = fmean(gaps), stdev(gaps)
    if deviation <= 1e-12 * max(1e-300, *map(abs, first), *map(abs, second)):
        return 1.0 if mean == 0 else 0.0
    return 2 * (1 - t_cdf(abs(mean) / deviation * math.sqrt(count), count - 1))


def _gaps(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Second less first, seed by seed; 0 where no gap is more than rounding."""
    gaps = [y - x for x, y in zip(first, second, strict=True)]
    if max(map(abs, gaps), default=0) <= ROUNDING * max(map(abs, first), default=0):
        return [0.0] * len(gaps)
    return gaps


def holm(values: Sequence[float]) -> list[float]:
    """p-values of several tests, corrected so that the chance of any false claim holds for all."""
    order = sorted(range(len(values)), key=lambda k: values[k])
    corrected, least = [1.0] * len(values), 0.0
    for rank, k in enumerate(order):
        least = max(least, min(1.0, values[k] * (len(values) - rank)))
        corrected[k] = least
    return corrected


def seeds_needed(gaps: Sequence[float], level: float = 0.05) -> int | None:
    """Seeds with which a gap of this size would be shown with a power of 80%; None: too many."""
    if len(gaps) < 2:
        return None
    mean, deviation = abs(fmean(gaps)), stdev(gaps)
    if mean == 0:
        return None
    power = NormalDist().inv_cdf(POWER)

    def enough(count: int) -> bool:
        # The normal power with Student's threshold is a close and cautious approximation.
        wanted = t_quantile(1 - level / 2, count - 1) + power
        return mean * math.sqrt(count) >= deviation * wanted

    found = bisect_left(range(2, MOST_SEEDS + 1), True, key=enough) + 2
    return found if found <= MOST_SEEDS else None


def t_cdf(t: float, freedom: int) -> float:
    """Student's distribution function for whole degrees of freedom (Zelen and Severo 1964)."""
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
    """Where Student's distribution function reaches a part above one half."""
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < part else (low, middle)
    return high


def small(p: float) -> str:
    """A p-value as it is written."""
    return "below 0.001" if p < 0.001 else f"{p:.3f}".rstrip("0").rstrip(".")


def number(count: int) -> str:
    """A small number as a word."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)
