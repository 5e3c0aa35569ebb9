"""Steps with momentum on quadratics, and the rule of the verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import momentum
from gdlightning.lab.experiments.momentum import CONDITIONS, LIMITS, METHODS, RATES
from gdlightning.lab.samples import digits


def record(ravine: tuple[int, int, int], images: tuple[int | None, ...]) -> dict[str, Any]:
    """Return measurements with these steps: plain descent, heavy ball, Nesterov."""
    steps = {name: [n] * len(CONDITIONS) for name, n in zip(METHODS, ravine, strict=True)}
    tuned = {f"{name}, best momentum": steps[name] for name in list(METHODS)[1:]}
    digit = {name: {"steps": n, "accuracy": 0.9} for name, n in zip(METHODS, images, strict=True)}
    return {"limits": LIMITS, "steps": steps | tuned, "digits": digit}


@pytest.mark.parametrize(
    ("ravine", "images", "verdict"),
    [
        ((180, 80, 50), (50, 45, 40), ClaimVerdict.HOLDS),
        ((180, 80, 50), (50, 55, 40), ClaimVerdict.CONDITIONS),
        ((180, 80, 90), (50, 45, 40), ClaimVerdict.CONDITIONS),
        ((180, 80, 50), (50, 45, None), ClaimVerdict.CONDITIONS),
        ((80, 80, 50), (50, 45, 40), ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_the_steps(
    ravine: tuple[int, int, int], images: tuple[int | None, ...], verdict: ClaimVerdict
) -> None:
    outcome = momentum.conclude([record(ravine, images)] * 3)
    assert outcome.verdict is verdict
    middles = {e.what: e.middle for e in outcome.effects}
    assert middles["steps at condition 100, heavy ball"] == ravine[1]
    assert middles["steps on digits, Nesterov"] == (images[2] or math.inf)
    assert f"plain {ravine[0]}, heavy ball {ravine[1]}" in outcome.words


@pytest.mark.parametrize("name", METHODS)
def test_the_limits_are_those_of_theory(name: str) -> None:
    assert momentum.limit(METHODS[name]) == pytest.approx(LIMITS[name], abs=0.0021)


@pytest.mark.parametrize("name", METHODS)
def test_steps_are_those_of_the_recurrences(name: str) -> None:
    curvatures = np.logspace(-1, 0, 20)
    random = torch.Generator().manual_seed(5)
    start = torch.randn(20, generator=random).double().numpy()
    mu = METHODS[name].get("momentum", 0.0)
    found = momentum.to_target(METHODS[name], 10, 5)
    for k in (30, 45, 53):
        place, speed, last = start.copy(), np.zeros(20), 0
        for step in range(1, 241):
            slope = curvatures * place
            speed = mu * speed + slope
            place = place - float(RATES[k]) * (slope + mu * speed if name == "Nesterov" else speed)
            if np.linalg.norm(place) > np.linalg.norm(start) / 100:
                last = step
        assert found[k] == (last + 1 if last < 240 else None)


def test_a_net_on_digits_is_followed_to_the_target() -> None:
    data = digits(0)
    nesterov = {**METHODS["Nesterov"], "lr": 0.3}
    short = momentum._trained(nesterov, data, 0)
    assert short["steps"] == len(short["losses"])
    assert short["losses"][-1] <= momentum.TARGET < min(short["losses"][:-1])
    assert short["accuracy"] > 0.8
