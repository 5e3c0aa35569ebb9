"""Effects and numbers as text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.lab.conclusion import count, effect, shown

SIZES = st.floats(min_value=1e-12, max_value=1e15, allow_nan=False)


@given(SIZES, st.sampled_from((1, -1)))
def test_a_number_reads_back_within_half_of_its_third_digit(size: float, sign: int) -> None:
    value = sign * size
    assert float(shown(value).replace(",", "")) == pytest.approx(value, rel=0.006)


@given(SIZES)
def test_a_number_has_three_digits_that_count(size: float) -> None:
    digits = shown(size).split("e")[0].replace(",", "").replace(".", "").strip("0")
    assert len(digits) <= 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (2.0, "2"),
        (0.5, "0.5"),
        (0.46698, "0.467"),
        (1.996, "2"),
        (99.96, "100"),
        (1234.0, "1,230"),
        (123456.0, "123,000"),
        (2.5e7, "2.50e7"),
        (0.00012345, "1.23e-4"),
        (-0.25, "-0.25"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    assert shown(value) == text


def test_an_effect_tells_median_range_and_what_lacks() -> None:
    assert str(effect("steps", [10, 30, 20], "steps")) == "20 (10 to 30) steps"
    assert str(effect("steps", [5.0, 5.0])) == "5"
    assert str(effect("steps", [4, None, math.inf, 2], "s")) == "3 (2 to 4) s, none in 2 of 4"
    assert str(effect("steps", [None, math.nan])) == "none"


def test_the_middle_counts_what_never_came_as_endless() -> None:
    assert effect("steps", [1, 2, None]).middle == 2
    assert effect("steps", [1, None, None]).middle == math.inf
    assert effect("steps", [1, math.nan, -math.inf]).values == (1.0, None, None)


def test_flags_are_counted() -> None:
    assert count([True, False, True]) == "2 of 3"
    assert count([]) == "0 of 0"
