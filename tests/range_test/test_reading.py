"""What is read from the curve of a range test."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.errors import UserError
from gdlightning.range_test.reading import BACK, PART, SIDE, SIGN, Curve, at_part, read

LRS = tuple(1e-6 * 10 ** (k / 30) for k in range(211))


def falling(middle: float, depth: float = 1.0, start: float = 2.0, rise: float = 30.0) -> Curve:
    """From ``start`` down by ``depth``, half of it at 10^middle, and up again a decade later."""
    losses = []
    for lr in LRS:
        way = math.log10(lr) - middle
        fall = depth / (1 + math.exp(-6 * way))
        losses.append(start - fall + depth * math.exp(rise * (way - 1.2)))
    return Curve(LRS, tuple(losses), start)


def test_the_point_is_where_that_part_of_the_fall_has_happened() -> None:
    found = read(falling(-3.0))
    expected = -3.0 + math.log(PART / (1 - PART)) / 6 - math.log10(BACK)  # of a logistic curve
    assert math.log10(found.point) == pytest.approx(expected, abs=0.03)
    assert read(falling(-3.0), signs=True).point == pytest.approx(found.point / SIGN, rel=0.05)
    assert found.low == pytest.approx(found.point / SIDE, rel=0.05)
    assert found.high == pytest.approx(found.point * SIDE, rel=0.05)
    assert found.point < found.bottom < 10**-1.8
    assert found.notes == ()


@given(
    middle=st.floats(-4, -1),
    depth=st.floats(0.3, 5),
    scale=st.floats(1e-3, 1e3),
    shift=st.floats(-10, 10),
    part=st.floats(0.05, 0.95),
)
def test_units_of_the_loss_do_not_matter(
    middle: float, depth: float, scale: float, shift: float, part: float
) -> None:
    curve = falling(middle, depth)
    other = Curve(
        curve.lr, tuple(scale * v + shift for v in curve.loss), scale * curve.start + shift
    )
    assert at_part(other, part) == pytest.approx(at_part(curve, part), rel=1e-4)


@given(middle=st.floats(-4, -1), part=st.floats(0.05, 0.95), more=st.floats(0.01, 0.04))
def test_more_of_the_fall_comes_later(middle: float, part: float, more: float) -> None:
    curve = falling(middle)
    assert LRS[0] <= at_part(curve, part) <= at_part(curve, part + more) <= LRS[-1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=211), st.floats(-1e6, 1e6))
def test_whatever_the_curve_the_point_lies_before_the_bottom(
    losses: list[float], start: float
) -> None:
    curve = Curve(LRS[: len(losses)], tuple(losses), start)
    try:
        found = read(curve)
    except UserError:
        return
    assert curve.lr[0] / BACK <= found.point * 1.05
    assert found.point <= found.bottom * 1.05 / BACK
    assert found.low < found.point < found.high


def test_a_spike_of_one_step_moves_nothing() -> None:
    curve = falling(-3.0)
    losses = list(curve.loss)
    losses[LRS.index(min(LRS, key=lambda lr: abs(lr - 1e-4)))] = -50.0
    assert read(Curve(LRS, tuple(losses), curve.start)).point == read(curve).point


def test_a_curve_may_end_in_no_number() -> None:
    curve = falling(-3.0)
    cut = next(k for k, lr in enumerate(LRS) if lr > 0.02)
    ended = Curve(LRS[: cut + 1], (*curve.loss[:cut], math.nan), curve.start)
    assert read(ended).point == read(curve).point


@pytest.mark.parametrize("loss", [2.0, 2.5, 1.9999, math.nan])
def test_no_fall_is_told(loss: float) -> None:
    with pytest.raises(UserError, match="did not fall"):
        read(Curve(LRS, (loss,) * len(LRS), 2.0))


@pytest.mark.parametrize(
    ("curve", "note"),
    [
        (falling(-3.0, depth=0.06), "fell by 3.0 % only"),
        (falling(0.3), "still fell at 10"),
        (falling(-5.4), "from the first steps on"),
    ],
)
def test_what_makes_it_less_sure_is_told(curve: Curve, note: str) -> None:
    assert any(note in own for own in read(curve).notes)
