"""Steps to leave a plateau, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import plateaus
from gdlightning.lab.experiments.plateaus import CASES


def record(momentum: int | None, adam: int | None) -> dict[str, Any]:
    steps = dict.fromkeys(CASES, 1000) | {"momentum": momentum, "Adam": adam}
    found: dict[str, Any] = {k: {"lr": 1.0, "steps": v, "losses": []} for k, v in steps.items()}
    return found | {f"gradient, {u}": 1.0 for u in ("sigmoid", "tanh", "normalised")}


@pytest.mark.parametrize(
    ("momentum", "adam", "verdict"),
    [
        (400, 100, ClaimVerdict.HOLDS),
        (None, 100, ClaimVerdict.CONDITIONS),
        (400, 900, ClaimVerdict.CONDITIONS),
        (600, None, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_the_steps(
    momentum: int | None, adam: int | None, verdict: ClaimVerdict
) -> None:
    outcome = plateaus.conclude([record(momentum, adam)] * 3)
    assert outcome.verdict is verdict
    assert ("more than 2,000" in outcome.words) == (None in (momentum, adam))


def test_sigmoids_shrink_the_gradient_and_tanh_does_not() -> None:
    assert plateaus._shrinkage("sigmoid", 0) < 0.01
    assert plateaus._shrinkage("tanh", 0) > 0.3


def test_a_training_ends_once_it_has_left() -> None:
    losses = plateaus._left("tanh", plateaus.PLAIN | {"lr": 0.3}, 0)
    assert len(losses) < 150
    assert sum(losses[-20:]) / 20 < plateaus.HALF < sum(losses[-21:-1]) / 20
