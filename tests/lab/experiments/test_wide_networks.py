"""Loss barriers between nets, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import wide_networks
from gdlightning.lab.experiments.wide_networks import WIDTHS, barrier, match, way
from gdlightning.lab.samples import digits


def net(width: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def test_matching_undoes_a_permutation_and_leaves_the_outputs() -> None:
    data, first = digits(0, 200), net(24, 0)
    order = torch.randperm(24)
    shuffled = net(24, 1)
    state = first.state_dict()
    shuffled.load_state_dict(
        {
            "0.weight": state["0.weight"][order],
            "0.bias": state["0.bias"][order],
            "2.weight": state["2.weight"][:, order],
            "2.bias": state["2.bias"],
        }
    )
    matched = match(first, shuffled, data.x)
    for name, value in matched.state_dict().items():
        assert torch.equal(value, state[name]), name
    other = net(24, 2)
    torch.testing.assert_close(match(first, other, data.x)(data.x), other(data.x))


def test_the_way_begins_and_ends_at_the_nets() -> None:
    data, first, second = digits(0, 200), net(8, 0), net(8, 1)
    losses = way(first, second, data)
    for loss, end in ((losses[0], first), (losses[-1], second)):
        exact = nn.functional.cross_entropy(end(data.x), data.y).detach()
        assert loss == pytest.approx(float(exact), rel=1e-6)
    assert barrier([1.0, 2.5, 2.0]) == 1.0
    assert barrier([1.0, 1.5, 2.0]) == 0.0


def record(seed: int, wide: float, straight: float, matched: float) -> dict[str, Any]:
    def pair(width: int) -> dict[str, Any]:
        spread = wide if width == WIDTHS[-1] else 0.1
        return {
            "losses": [1.0, 1.0 + spread * (seed + 1)],
            "right": [1.0, 1.0],
            "straight": [0.0, straight, 0.0],
            "matched": [0.0, matched, 0.0],
        }

    return {str(width): pair(width) for width in WIDTHS}


@pytest.mark.parametrize(
    ("wide", "straight", "matched", "verdict"),
    [
        (0.01, 0.02, 0.01, ClaimVerdict.HOLDS),
        (0.01, 0.5, 0.01, ClaimVerdict.CONDITIONS),
        (0.01, 0.5, 0.4, ClaimVerdict.NOT_HERE),
        (0.1, 0.02, 0.01, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_spread_and_barriers(
    wide: float, straight: float, matched: float, verdict: ClaimVerdict
) -> None:
    found = [record(seed, wide, straight, matched) for seed in range(3)]
    assert wide_networks.conclude(found).verdict is verdict
