"""Optimizers for vision, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import guide_vision
from gdlightning.lab.experiments.guide_vision import CANDIDATES, convolutions
from gdlightning.lab.tuning import Candidate

WANDER = (0.0, 0.2, -0.2, 0.1, 0.05)


def records(*errors: float) -> list[dict[str, Any]]:
    """Return five seeds with these errors: momentum, Adam, AdamW."""
    return [
        {
            name: {"test": error / 30, "error": error + (k + 1) * wander / 10}
            for k, (name, error) in enumerate(zip(CANDIDATES, errors, strict=True))
        }
        for wander in WANDER
    ]


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ((2.0, 3.0, 2.5), ClaimVerdict.HOLDS),
        ((2.0, 3.0, 2.0), ClaimVerdict.CONDITIONS),
        ((2.0, 2.0, 2.0), ClaimVerdict.NOT_HERE),
        ((3.0, 2.0, 2.0), ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_the_errors(errors: Any, verdict: ClaimVerdict) -> None:
    outcome = guide_vision.conclude(records(*errors))
    assert outcome.verdict is verdict
    if verdict is ClaimVerdict.HOLDS:
        assert "SGD with momentum is better than Adam by" in outcome.words


def test_the_net_has_the_size_that_is_told() -> None:
    net = convolutions()
    assert net(torch.zeros(3, 64)).shape == (3, 10)
    assert [tuple(p.shape) for p in net.parameters()][::2] == [
        (16, 1, 3, 3),
        (32, 16, 3, 3),
        (32, 32, 3, 3),
        (10, 128),
    ]


def test_a_short_trial_has_loss_and_error_in_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide_vision, "STEPS", 60)
    one = {"Adam": Candidate(CANDIDATES["Adam"].options, (1e-9, 0.01))}
    monkeypatch.setattr(guide_vision, "CANDIDATES", one)
    found = guide_vision.measure(0)["Adam"]
    assert found["lr"] == 0.01
    assert 1 < found["error"] < 60
    assert found["validation"][0] == pytest.approx(2.3, abs=0.1)
