"""``reduce_on_plateau`` equals torch's ``ReduceLROnPlateau`` on the same metrics."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gdlightning.errors import UserError
from gdlightning.schedules import Schedule
from gdlightning.schedules.scheduler import Scheduler

VALUES = st.one_of(st.integers(1, 60).map(float), st.just(math.nan))


@given(
    values=st.lists(VALUES, max_size=60),
    mode=st.sampled_from(["min", "max"]),
    patience=st.integers(0, 4),
    cooldown=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 1e-4, 0.0817]),
)
def test_equal_to_torch(
    values: list[float], mode: Literal["min", "max"], patience: int, cooldown: int, threshold: float
) -> None:
    ours = Schedule(
        "reduce_on_plateau",
        factor=0.3,
        patience=patience,
        cooldown=cooldown,
        mode=mode,
        threshold=threshold,
        min_factor=1e-3,
    )
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = ReduceLROnPlateau(
        optimizer,
        mode=mode,
        factor=0.3,
        patience=patience,
        cooldown=cooldown,
        threshold=threshold,
        min_lr=1e-3,
        eps=0,
    )
    for step, value in enumerate(values):
        ours.observe({"val_loss": torch.tensor(value)})
        theirs.step(value)
        assert ours.factor(step, 100) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_decreasing_negative_metric_is_an_improvement() -> None:
    made = Schedule("plateau", patience=0, threshold=0.1)
    for value in (-1.0, -2.0, -4.0):
        made.observe({"val_loss": value})
        assert made.factor(0, 1) == 1
    made.observe({"val_loss": -4.1})
    assert made.factor(0, 1) == pytest.approx(0.1)


def test_state_is_restored_through_the_scheduler() -> None:
    def make() -> tuple[Schedule, Any]:
        made = Schedule("plateau", patience=1, factor=0.5)
        optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        return made, Scheduler(optimizer, made, 100)

    first, scheduler = make()
    for value in (1.0, 2.0, 3.0, 4.0):
        first.observe({"val_loss": value})
    second, other = make()
    other.load_state_dict(scheduler.state_dict())
    for value in (5.0, 6.0, 0.5, 7.0, 8.0):
        first.observe({"val_loss": value})
        second.observe({"val_loss": value})
        assert second.factor(9, 100) == first.factor(9, 100)
    assert first.factor(9, 100) == 0.125


def test_missing_metric_is_an_error_with_a_suggestion() -> None:
    made = Schedule("plateau", monitor="val_los")
    assert made.needs_metric == "val_los"
    with pytest.raises(UserError, match="Did you mean val_loss"):
        made.observe({"val_loss": 1.0})
