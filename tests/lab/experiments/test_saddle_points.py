"""Escape from saddle points, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import saddle_points
from gdlightning.lab.experiments.saddle_points import CASES, Autoencoder, Ridge, escaped


def record(free: set[str]) -> dict[str, Any]:
    ways = [f"{saddle}, {way}" for saddle, ways in CASES.items() for way in ways]
    return {way: [1.0, 0.1 if way in free else 1.0] for way in ways}


RIDGE, ENCODED = "ridge, noise on the gradient", "autoencoder, batches of one"
LINEAR, SHAKEN = "linear net, batches of one", "linear net, noise on the weights"


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        ({RIDGE, ENCODED, LINEAR, SHAKEN}, ClaimVerdict.HOLDS),
        ({RIDGE, ENCODED, SHAKEN}, ClaimVerdict.CONDITIONS),
        ({SHAKEN}, ClaimVerdict.NOT_HERE),
        (set(record(set())), ClaimVerdict.NOT_HERE),  # where all escape, it is not the noise
    ],
)
def test_the_verdict_follows_from_who_escapes(free: set[str], verdict: ClaimVerdict) -> None:
    assert saddle_points.conclude([record(free)] * 3).verdict is verdict


def test_the_ridge_is_the_function_that_is_said() -> None:
    made = Ridge()
    with torch.no_grad():
        made.point.copy_(torch.tensor([0.3, 1.0]))
        height = made(torch.zeros(1, 2, dtype=torch.float64))
    assert float(height) == pytest.approx(0.3**2 / 2 - 1 / 4)


def test_a_direction_of_norm_one_keeps_its_shadow() -> None:
    made = Autoencoder(torch.tensor([0.6, 0.8], dtype=torch.float64))
    x = torch.tensor([[3.0, 4.0], [4.0, -3.0]], dtype=torch.float64)
    torch.testing.assert_close(made(x).detach(), torch.stack([x[0], torch.zeros_like(x[0])]))


def test_an_exact_start_stays_and_noise_leaves() -> None:
    still, noisy = (saddle_points._ridge(way, 0) for way in CASES["ridge"])
    assert still[-1] == pytest.approx(1, abs=1e-9)
    assert still[0] == pytest.approx(1.5)
    assert not escaped(still)
    assert escaped(noisy)
