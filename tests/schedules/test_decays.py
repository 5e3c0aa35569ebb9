"""Each decay equals the scheduler of torch, or the formula of its paper, at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD
from torch.optim import lr_scheduler as lrs

from gdlightning.schedules import Schedule, names

TOTAL = 41
Make = Callable[[SGD], lrs.LRScheduler]


def torch_factors(make: Make, steps: int = TOTAL) -> list[float]:
    """Return the multipliers of a torch scheduler: its learning rates for a peak of 1."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return found


def factors(name: str, total: int = TOTAL, **options: Any) -> list[float]:
    """Return the multipliers of a schedule."""
    schedule = Schedule(name, **options)
    return [schedule.factor(k, total) for k in range(total)]


AGAINST_TORCH: dict[str, tuple[str, dict[str, Any], Make]] = {
    "constant": ("constant", {}, lambda o: lrs.ConstantLR(o, factor=1.0)),
    "cosine": ("cosine", {}, lambda o: lrs.CosineAnnealingLR(o, TOTAL - 1)),
    "cosine final": (
        "cosine",
        {"final": 0.2},
        lambda o: lrs.CosineAnnealingLR(o, TOTAL - 1, eta_min=0.2),
    ),
    "linear": ("linear", {"final": 0.1}, lambda o: lrs.LinearLR(o, 1.0, 0.1, TOTAL - 1)),
    "polynomial": (
        "polynomial",
        {"power": 3.0},
        lambda o: lrs.PolynomialLR(o, TOTAL - 1, power=3.0),
    ),
    "exponential": ("exponential", {}, lambda o: lrs.ExponentialLR(o, 0.01 ** (1 / (TOTAL - 1)))),
    "step": (
        "step",
        {"drops": 3, "gamma": 0.5},
        lambda o: lrs.MultiStepLR(o, [11, 21, 31], gamma=0.5),
    ),
    "one_cycle": (
        "one_cycle",
        {},
        lambda o: lrs.OneCycleLR(o, 1.0, total_steps=TOTAL, cycle_momentum=False),
    ),
    "one_cycle early": (
        "one_cycle",
        {"rise": 0.1, "initial": 0.1, "final": 1e-3},
        lambda o: lrs.OneCycleLR(
            o,
            1.0,
            total_steps=TOTAL,
            pct_start=0.1,
            div_factor=10,
            final_div_factor=100,
            cycle_momentum=False,
        ),
    ),
    "cyclic": (
        "cyclic",
        {"cycles": 4},
        lambda o: lrs.CyclicLR(o, 0.1, 1.0, step_size_up=5, cycle_momentum=False),
    ),
    "cyclic falling": (
        "cyclic",
        {"cycles": 4, "gamma": 0.5},
        lambda o: lrs.CyclicLR(
            o, 0.1, 1.0, step_size_up=5, mode="triangular2", cycle_momentum=False
        ),
    ),
}


@pytest.mark.parametrize("case", AGAINST_TORCH)
def test_equal_to_torch(case: str) -> None:
    name, options, make = AGAINST_TORCH[case]
    steps = TOTAL - 1 if name == "one_cycle" else TOTAL  # OneCycleLR raises after its last step
    ours, theirs = factors(name, **options)[:steps], torch_factors(make, steps)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_cosine_restarts_are_consecutive_cosines() -> None:
    growing = [*factors("cosine", 10), *factors("cosine", 20), *factors("cosine", 40)]
    assert factors("cosine_restarts", 70, cycles=3, growth=2.0) == pytest.approx(growing)
    once = factors("cosine_restarts", TOTAL, cycles=1, final=0.1)
    assert once == pytest.approx(factors("cosine", TOTAL, final=0.1))


def test_inverse_sqrt_equals_noam_if_the_timescale_is_the_warmup() -> None:
    warmup, total = 10, 500
    ours = factors("inverse_sqrt", total, timescale=warmup, warmup=warmup)
    noam = [math.sqrt(warmup / k) for k in range(warmup, total)]
    assert ours[warmup:] == pytest.approx(noam)


@pytest.mark.parametrize("shape", ["linear", "sqrt"])
def test_wsd_is_flat_then_falls(shape: str) -> None:
    t = np.linspace(0, 1, 101)
    part = np.clip((t - 0.6) / 0.4, 0, 1)
    wanted = 1 - 0.9 * (part if shape == "linear" else np.sqrt(part))
    ours = factors("wsd", 101, decay=0.4, final=0.1, shape=shape)
    np.testing.assert_allclose(ours, wanted, atol=1e-7)


def test_every_decay_is_tested() -> None:
    tested = {name for name, _, _ in AGAINST_TORCH.values()}
    assert tested | {"cosine_restarts", "inverse_sqrt", "wsd", "reduce_on_plateau"} == set(names())
