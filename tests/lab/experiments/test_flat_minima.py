"""Sharpness of nets with the same outputs, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import flat_minima
from gdlightning.lab.experiments.flat_minima import look, rescaled
from gdlightning.lab.samples import digits


def record(seed: int, small: float, sam: float, gain: float) -> dict[str, Any]:
    def case(sharpness: float, right: float) -> dict[str, float]:
        return {"sharpness": sharpness, "adaptive": 1.0, "right": right + 0.001 * seed, "loss": 0.1}

    return {
        "batches of 512": case(1.0, 0.9),
        "batches of 16": case(small, 0.9 + gain),
        "SAM": case(sam, 0.9 + gain),
        "rescaled": case(10.0, 0.9),
    }


@pytest.mark.parametrize(
    ("small", "sam", "gain", "verdict"),
    [
        (0.5, 0.5, 0.02, ClaimVerdict.HOLDS),
        (0.5, 0.5, 0.0, ClaimVerdict.CONDITIONS),
        (0.5, 0.5, -0.02, ClaimVerdict.CONDITIONS),
        (2.0, 0.5, 0.02, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_flatness_and_accuracy(
    small: float, sam: float, gain: float, verdict: ClaimVerdict
) -> None:
    outcome = flat_minima.conclude([record(seed, small, sam, gain) for seed in range(5)])
    assert outcome.verdict is verdict
    assert "10-fold" in outcome.words


def test_rescaling_changes_sharpness_and_neither_outputs_nor_adaptive_sharpness() -> None:
    torch.manual_seed(0)
    data = digits(0, 200)
    net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    other = rescaled(net, 5.0)
    torch.testing.assert_close(other(data.x), net(data.x), rtol=1e-4, atol=1e-5)
    before, after = look(net, data), look(other, data)
    assert after["sharpness"] > 1.5 * before["sharpness"]
    assert after["adaptive"] == pytest.approx(before["adaptive"], rel=1e-3)
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)
