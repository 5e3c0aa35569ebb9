"""Suggested learning rates from the curves of range tests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.errors import UserError
from gdlightning.range_test.suggestion import BACK, PART, SIDE, SIGN, Curve, at_part, read

LRS = tuple(1e-6 * 10 ** (k / 30) for k in range(211))


def falling(middle: float, depth: float = 1.0, start: float = 2.0, rise: float = 30.0) -> Curve:
    """Return a curve that falls by ``depth``, by half at 10^middle, and rises a decade later."""
    losses = []
    for lr in LRS:
        way = math.log10(lr) - middle
        fall = depth / (1 + math.exp(-6 * way))
        losses.append(start - fall + depth * math.exp(rise * (way - 1.2)))
    return Curve(LRS, tuple(losses), start)


def test_point_is_at_the_fraction_of_the_decrease() -> None:
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
def test_invariant_under_scale_and_shift_of_the_loss(
    middle: float, depth: float, scale: float, shift: float, part: float
) -> None:
    curve = falling(middle, depth)
    other = Curve(
        curve.lr, tuple(scale * v + shift for v in curve.loss), scale * curve.start + shift
    )
    assert at_part(other, part) == pytest.approx(at_part(curve, part), rel=1e-4)


@given(middle=st.floats(-4, -1), part=st.floats(0.05, 0.95), more=st.floats(0.01, 0.04))
def test_larger_fractions_are_reached_later(middle: float, part: float, more: float) -> None:
    curve = falling(middle)
    assert LRS[0] <= at_part(curve, part) <= at_part(curve, part + more) <= LRS[-1]


@given(st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=211), st.floats(-1e6, 1e6))
def test_point_is_below_the_bottom_for_any_curve(losses: list[float], start: float) -> None:
    curve = Curve(LRS[: len(losses)], tuple(losses), start)
    try:
        found = read(curve)
    except UserError:
        return
    assert curve.lr[0] / BACK <= found.point * 1.05
    assert found.point <= found.bottom * 1.05 / BACK
    assert found.low < found.point < found.high


def test_spike_of_one_step_has_no_effect() -> None:
    curve = falling(-3.0)
    losses = list(curve.loss)
    losses[LRS.index(min(LRS, key=lambda lr: abs(lr - 1e-4)))] = -50.0
    assert read(Curve(LRS, tuple(losses), curve.start)).point == read(curve).point


def test_curve_may_end_in_nan() -> None:
    curve = falling(-3.0)
    cut = next(k for k, lr in enumerate(LRS) if lr > 0.02)
    ended = Curve(LRS[: cut + 1], (*curve.loss[:cut], math.nan), curve.start)
    assert read(ended).point == read(curve).point


@pytest.mark.parametrize("loss", [2.0, 2.5, 1.9999, math.nan])
def test_flat_loss_is_an_error(loss: float) -> None:
    with pytest.raises(UserError, match="did not fall at any learning rate"):
        read(Curve(LRS, (loss,) * len(LRS), 2.0))


@pytest.mark.parametrize(
    ("curve", "note"),
    [
        (falling(-3.0, depth=0.06), "only fell by 3.0%"),
        (falling(0.3), "still falling at 10"),
        (falling(-5.4), "from the first step"),
    ],
)
def test_notes_give_reasons_for_less_confidence(curve: Curve, note: str) -> None:
    assert any(note in own for own in read(curve).notes)
