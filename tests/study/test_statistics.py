"""Statistics equal scipy, and hold their guarantees over many repetitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gdlightning.study.statistics import (
    compare,
    holm,
    interval,
    paired_p,
    seeds_needed,
    t_cdf,
    t_quantile,
)

FINITE = st.floats(-50, 50, allow_nan=False)


@given(FINITE, st.integers(1, 60))
def test_t_cdf_equals_scipy(t: float, freedom: int) -> None:
    assert t_cdf(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 29])
def test_t_quantile_equals_scipy(freedom: int) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@given(st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=12))
def test_paired_test_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    gaps = np.subtract(second, first)
    if np.std(gaps) > 1e-3:
        wanted = stats.ttest_rel(first, second).pvalue
        assert paired_p(first, second) == pytest.approx(wanted, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holms_correction(values: list[float]) -> None:
    found, order = holm(values), np.argsort(values, kind="stable")
    steps = np.minimum(1, np.sort(values) * np.arange(len(values), 0, -1))
    assert np.array(found)[order] == pytest.approx(np.maximum.accumulate(steps))


def test_equal_results_are_not_a_difference() -> None:
    (found,) = compare({"a": [0.1, 0.2, 0.3], "b": [0.1, 0.2, 0.3]})
    assert not found.shown
    assert "equal up to rounding" in found.words


def test_exact_shift_is_a_difference() -> None:
    (found,) = compare({"a": [1.0, 2.0, 3.0], "b": [1.5, 2.5, 3.5]})
    assert found.shown
    assert (found.first, found.second) == ("a", "b")


@pytest.mark.parametrize("count", [3, 5, 10])
def test_intervals_cover_the_mean(count: int) -> None:
    random = np.random.default_rng(count)
    hits = 0
    for k in range(400):
        found = interval(list(random.normal(size=count)), seed=k)
        hits += found.low <= 0 <= found.high
    assert hits / 400 >= 0.90


def test_family_wise_error_rate() -> None:
    """With four equal optimizers and three seeds, any significant one of six pairs is an error."""
    random = np.random.default_rng(0)
    claims = 0
    for _ in range(400):
        scores = {k: list(random.normal(size=3)) for k in "abcd"}
        claims += any(d.shown for d in compare(scores))
    assert claims / 400 <= 0.05 + 0.022  # two standard errors


def test_needed_seeds_detect_the_gap() -> None:
    random = np.random.default_rng(1)
    gaps = [0.2, 1.4, 0.8]
    needed = seeds_needed(gaps)
    assert needed is not None
    mean, deviation = np.mean(gaps), np.std(gaps, ddof=1)
    shown = 0
    for _ in range(400):
        drawn = random.normal(mean, deviation, needed)
        shown += paired_p([0.0] * needed, list(drawn)) < 0.05
    assert 0.72 <= shown / 400 <= 0.97


def test_too_few_or_failed_seeds_are_not_significant() -> None:
    (found,) = compare({"a": [1.0, 2.0], "b": [1.0, math.inf]})
    assert not found.shown
    assert "failed" in found.words
    assert paired_p([1.0], [2.0]) == 1
    assert seeds_needed([1.0]) is None
    assert seeds_needed([0.0, 0.0, 0.0]) is None


def test_rounding_is_not_a_difference() -> None:
    first = [0.5, 0.6, 0.7, 0.8]
    (found,) = compare({"a": first, "b": [v + 1e-8 for v in first]})
    assert not found.shown
    assert found.p == 1
    assert "equal up to rounding" in found.words
    (clear,) = compare({"a": first, "b": [v + 1e-3 for v in first]})
    assert clear.shown


MEANS = {"a": 0.0, "b": 0.3, "c": 0.6, "d": 1.0}


@pytest.mark.parametrize("seed", range(20))
def test_interval_of_a_significant_difference_excludes_zero(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = {k: list(random.normal(shift, 0.3, 5)) for k, shift in MEANS.items()}
    for found in compare(scores):
        assert not found.shown or found.gap.low > 0
