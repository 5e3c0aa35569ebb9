"""Remaining weights after decay, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import decoupled_decay
from gdlightning.lab.experiments.decoupled_decay import LEFT, METHODS, SCALES
from gdlightning.lab.samples import digits

SPREAD = [k / (len(SCALES) - 1) for k in range(len(SCALES))]


def records(l2: list[float], adamw: list[float], gains: dict[str, float]) -> list[dict[str, Any]]:
    """Return five seeds with similar gains of accuracy by AdamW."""

    def task(gain: float, seed: int) -> dict[str, dict[str, float]]:
        right = {"no decay": 0.7, "L2": 0.8, "AdamW": 0.8 + gain + 0.001 * (seed % 3 - 1)}
        return {name: {"lr": 0.001, "decay": 1.0, "accuracy": a} for name, a in right.items()}

    return [
        {
            "left": {"L2": l2, "AdamW": adamw},
            "tasks": {name: task(gain, seed) for name, gain in gains.items()},
        }
        for seed in range(5)
    ]


@pytest.mark.parametrize(
    ("l2", "adamw", "digit", "tumour", "verdict"),
    [
        (SPREAD, [LEFT] * len(SCALES), 0.02, 0.02, ClaimVerdict.HOLDS),
        (SPREAD, [LEFT] * len(SCALES), 0.02, 0.0, ClaimVerdict.CONDITIONS),
        (SPREAD, [LEFT] * len(SCALES), -0.02, 0.02, ClaimVerdict.CONDITIONS),
        ([LEFT] * len(SCALES), [LEFT] * len(SCALES), 0.02, 0.02, ClaimVerdict.NOT_HERE),
        (SPREAD, SPREAD, 0.02, 0.02, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_weights_and_accuracies(
    l2: list[float], adamw: list[float], digit: float, tumour: float, verdict: ClaimVerdict
) -> None:
    found = records(l2, adamw, {"digits": digit, "tumours": tumour})
    outcome = decoupled_decay.conclude(found)
    assert outcome.verdict is verdict
    shown = sum(gain > 0 for gain in (digit, tumour))
    assert f"{100 * digit:+.1f} points on digits" in outcome.words
    assert f"a gain shows on {shown} of 2" in outcome.words


@pytest.mark.parametrize("name", METHODS)
def test_what_is_left_is_as_theory_has_it(name: str) -> None:
    expected = [decoupled_decay.theory(METHODS[name], scale) for scale in SCALES]
    found = decoupled_decay.left(METHODS[name], 3)
    assert found == pytest.approx(expected, abs=0.04)
    if name == "AdamW":
        assert expected == pytest.approx([LEFT] * len(SCALES))


def test_a_share_of_the_classes_is_another() -> None:
    true = torch.arange(10).repeat(500)
    found = decoupled_decay.spoilt(true, 0.4, 0)
    assert float((found != true).float().mean()) == pytest.approx(0.4, abs=0.03)
    assert set(found.tolist()) == set(range(10))
    assert torch.equal(decoupled_decay.spoilt(true, 0.0, 0), true)
    wrong = found[(true == 3) & (found != true)]
    assert set(wrong.tolist()) == set(range(10)) - {3}


def test_the_best_pair_is_told_with_a_fresh_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoupled_decay, "RATES", (3e-3,))
    monkeypatch.setattr(decoupled_decay, "TRAINED", 100)
    monkeypatch.setattr(
        decoupled_decay, "DECAYS", {"no decay": (0.0,), "L2": (0.01,), "AdamW": (1.0, 1e4)}
    )
    found = decoupled_decay._tuned(digits(0), 300, 0.2, 0)
    assert found["AdamW"]["decay"] == 1.0  # the other leaves nothing of the net
    assert all(one["accuracy"] > 0.6 for one in found.values())
