"""Runs with and without clipping, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import clipping
from gdlightning.lab.experiments.clipping import AFTER, BEFORE, RATES, Camera, Recall


def record(after: float, after_clipped: float, most: int, most_clipped: int) -> dict[str, Any]:
    """Return measurements with these losses and numbers of stable learning rates."""

    def case(end: float) -> dict[str, Any]:
        return {"losses": [1.0] * (BEFORE + 1) + [end] * AFTER, "right": 0.9}

    def runs(borne: int) -> list[dict[str, Any]]:
        return [{"start": 1.0, "end": 0.1 if k < borne else None} for k in range(len(RATES))]

    return {
        "bad": {
            "not clipped": case(after),
            "clipped": case(after_clipped),
            "no bad batch": case(0.1),
        },
        "steep": {"not clipped": runs(most), "clipped": runs(most_clipped)},
    }


@pytest.mark.parametrize(
    ("losses", "rates", "verdict"),
    [
        ((9.0, 0.1), (2, 4), ClaimVerdict.HOLDS),
        ((9.0, 0.1), (2, 2), ClaimVerdict.CONDITIONS),
        ((0.1, 0.1), (2, 4), ClaimVerdict.CONDITIONS),
        ((0.1, 0.1), (2, 2), ClaimVerdict.NOT_HERE),
        ((9.0, 9.0), (0, 0), ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_what_is_saved(
    losses: tuple[float, float], rates: tuple[int, int], verdict: ClaimVerdict
) -> None:
    assert clipping.conclude([record(*losses, *rates)] * 3).verdict is verdict


def test_a_training_that_ends_in_no_number_is_spoilt() -> None:
    assert clipping.spoilt({"losses": [1.0] * 120})
    assert clipping.spoilt({"losses": [1.0] * (BEFORE + AFTER) + [None]})


def test_the_camera_is_dazzled_once() -> None:
    seen = Camera(nn.Identity(), 1)
    x = torch.rand(4, 3)
    outputs = [seen(x) for _ in range(3)]
    assert torch.equal(outputs[0], x)
    assert torch.equal(outputs[2], x)
    assert float(outputs[1].abs().median()) > 100


def test_the_recurrent_weights_are_orthogonal_times_the_gain() -> None:
    weight = Recall().cell.get_parameter("weight_hh_l0")
    torch.testing.assert_close(weight @ weight.T, 1.21 * torch.eye(len(weight)))
