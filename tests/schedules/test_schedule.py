"""Names, options, warm-up and bounds of all schedules."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD
from torch.optim import lr_scheduler as lrs

from gdlightning.errors import UserError
from gdlightning.schedules import Schedule, names, parse_warmup, register_schedule, schedule
from gdlightning.schedules.scheduler import Scheduler

FALLING = {
    "constant",
    "cosine",
    "exponential",
    "inverse_sqrt",
    "linear",
    "polynomial",
    "reduce_on_plateau",
    "step",
    "wsd",
}
ENDS = {"cosine", "cosine_restarts", "exponential", "linear", "one_cycle", "polynomial", "wsd"}


@given(
    name=st.sampled_from(names()),
    total=st.integers(1, 3000),
    warmup=st.floats(0, 0.95),
    start=st.floats(0, 1),
    data=st.data(),
)
def test_factors_stay_between_0_and_1(
    name: str, total: int, warmup: float, start: float, data: st.DataObject
) -> None:
    made = Schedule(name, warmup=warmup, warmup_start=start)
    steps = data.draw(st.lists(st.integers(0, total + 5), min_size=1, max_size=20))
    for step in steps:
        assert 0 <= made.factor(step, total) <= 1


@given(
    name=st.sampled_from(sorted(FALLING)),
    total=st.integers(2, 400),
    warmup=st.integers(0, 50),
)
def test_increases_in_the_warmup_and_never_after_it(name: str, total: int, warmup: int) -> None:
    warmup = min(warmup, total - 1)
    made = Schedule(name, warmup=warmup)
    found = [made.factor(k, total) for k in range(total)]
    rising = found[: warmup + 1]
    assert all(a < b for a, b in itertools.pairwise(rising))
    falling = found[warmup:]
    assert all(a >= b for a, b in itertools.pairwise(falling))
    assert falling[0] == 1


@given(
    name=st.sampled_from(sorted(ENDS)),
    total=st.integers(10, 2000),
    final=st.floats(1e-6, 1),
    warmup=st.floats(0, 0.5),
)
def test_the_last_step_has_the_final_multiplier(
    name: str, total: int, final: float, warmup: float
) -> None:
    made = Schedule(name, final=final, warmup=warmup)
    assert made.factor(total - 1, total) == pytest.approx(final, abs=1e-9)
    assert made.factor(total + 10, total) == made.factor(total - 1, total)


@pytest.mark.parametrize("warmup", [8, "8 steps", 0.2, "20%", "2 epochs", "2ep", " 8 "])
def test_warmup_equals_torch_linear_lr_in_every_unit(warmup: Any) -> None:
    total, per_epoch = 40, 4
    made = Schedule("cosine", warmup=warmup)
    assert made.warmup_steps(total, per_epoch) == 8
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lrs.LinearLR(optimizer, 1 / 9, 1.0, 8)
    for k in range(8):
        assert made.factor(k, total, per_epoch) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    rest = Schedule("cosine")
    for k in range(8, total):
        assert made.factor(k, total, per_epoch) == rest.factor(k - 8, total - 8)


def test_warmup_starts_at_warmup_start() -> None:
    made = Schedule("constant", warmup=3, warmup_start=0.2)
    assert [made.factor(k, 10) for k in range(5)] == pytest.approx([0.4, 0.6, 0.8, 1, 1])


@pytest.mark.parametrize(("warmup", "total"), [(100, 100), ("3 epochs", 25), (200, 100)])
def test_warmup_longer_than_the_run_is_an_error(warmup: Any, total: int) -> None:
    wanted = rf"schedule\.warmup must be shorter than the run of {total} steps \(got {warmup}"
    with pytest.raises(UserError, match=wanted):
        Schedule("cosine", warmup=warmup).warmup_steps(total, steps_per_epoch=10)


@pytest.mark.parametrize("warmup", ["soon", -1, 1.5, "150%", "nan", "1 2", "", "3 years"])
def test_invalid_warmup_is_an_error(warmup: Any) -> None:
    with pytest.raises(UserError, match=r"schedule\.warmup must be steps"):
        parse_warmup(warmup)


def test_endless_decays_continue_after_the_last_step() -> None:
    made = Schedule("inverse_sqrt", timescale=100)
    assert made.endless
    assert made.factor(300, 1) == pytest.approx(0.5)
    assert not Schedule("inverse_sqrt", warmup="10%").endless
    assert not Schedule("cosine").endless


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("Cosine-Annealing", "cosine"),
        ("1cycle", "one_cycle"),
        ("ONE CYCLE", "one_cycle"),
        ("plateau", "reduce_on_plateau"),
        ("noam", "inverse_sqrt"),
        ("sgdr", "cosine_restarts"),
    ],
)
def test_names_in_any_spelling(name: str, own: str) -> None:
    assert Schedule(name).name == own


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cosin", {}, "Did you mean cosine"),
        ("cosine", {"finale": 0.1}, "Did you mean final"),
        ("cosine", {"final": 1.5}, "schedule.final must be between 0 and 1 (got 1.5)"),
        ("Exponential", {"final": 0}, "must be positive for an exponential decay (got 0)"),
        ("cyclic", {"cycles": 0}, "schedule.cycles must be positive (got 0)"),
        ("plateau", {"patience": -1}, "schedule.patience must not be negative (got -1)"),
        ("math.pi", {}, "is not a function"),
        ("nowhere.decay", {}, "can't be imported"),
        ("constant", {"warmup_start": 2}, "warmup_start"),
    ],
)
def test_invalid_options_are_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        Schedule(name, **options)
    assert message in str(error.value)


def test_custom_schedule_by_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule.SHAPES, "_registered", {})

    @register_schedule
    def half_way(step: int, total: int, *, low: float = 0.5) -> float:
        return 1.0 if step < total / 2 else low

    assert "half_way" in names()
    made = Schedule("half-way", low=0.25, warmup=2)
    assert [made.factor(k, 6) for k in range(6)] == pytest.approx([1 / 3, 2 / 3, 1, 1, 0.25, 0.25])


def test_an_own_schedule_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "def saw(step, total, *, teeth=2):\n    return 1 - (step * teeth % total) / total\n"
    (tmp_path / "own_decays.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        made = Schedule("own_decays.saw", teeth=1)
        assert [made.factor(k, 4) for k in range(4)] == [1, 0.75, 0.5, 0.25]
        assert set(schedule.options("own_decays.saw")) == {"teeth"}
        with pytest.raises(UserError, match="has no see"):
            Schedule("own_decays.see")
    finally:
        sys.modules.pop("own_decays", None)


def test_custom_class_that_monitors_a_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "class Follow:\n"
        "    def __init__(self, gain: float = 1.0) -> None:\n"
        "        self.gain, self.monitor, self.now = gain, 'val_loss', 1.0\n\n"
        "    def observe(self, value):\n"
        "        self.now = self.gain * value\n\n"
        "    def __call__(self, step, total):\n"
        "        return self.now\n"
    )
    (tmp_path / "own_waiting.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        made = Schedule("own_waiting.Follow", gain=0.5)
        optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
        scheduler = Scheduler(optimizer, made, 10)
        assert optimizer.param_groups[0]["lr"] == 2
        scheduler.observe({"val_loss": 0.4})
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.4)
        with pytest.raises(UserError, match="has no option gan"):
            Schedule("own_waiting.Follow", gan=1)
    finally:
        sys.modules.pop("own_waiting", None)
