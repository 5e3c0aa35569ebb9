"""Optimizers on tables, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import guide_tabular
from gdlightning.lab.experiments.guide_tabular import CANDIDATES, SCALES, TABLES, table
from gdlightning.lab.tuning import Candidate

WANDER = (0.0, 0.02, -0.02, 0.01, 0.005)
EVEN = (0.3, 0.3, 0.3, 0.3)
AHEAD = (0.5, 0.3, 0.3, 0.31)


def records(**losses: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return five seeds with test losses by scale: SGD, momentum, Adam, AdamW."""
    return [
        {
            f"{name}, {scale}": {
                one: {"test": loss + (k + 1) * wander / 10}
                for k, (one, loss) in enumerate(zip(CANDIDATES, losses[scale], strict=True))
            }
            for scale in SCALES
            for name in TABLES
        }
        for wander in WANDER
    ]


@pytest.mark.parametrize(
    ("scaled", "raw", "verdict"),
    [
        (AHEAD, AHEAD, ClaimVerdict.HOLDS),
        (EVEN, AHEAD, ClaimVerdict.CONDITIONS),
        (EVEN, (0.5, 0.3, 0.3, 0.6), ClaimVerdict.CONDITIONS),
        (EVEN, (0.5, 0.3, 0.6, 0.6), ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_the_losses(scaled: Any, raw: Any, verdict: ClaimVerdict) -> None:
    outcome = guide_tabular.conclude(records(scaled=scaled, raw=raw))
    assert outcome.verdict is verdict
    assert "Features as they come: SGD 0.5, SGD with momentum 0.301" in outcome.words


def test_scaling_is_of_each_feature_or_of_all() -> None:
    scaled, raw = (table("wine", flag, 1) for flag in (True, False))
    assert torch.allclose(scaled.x.std(0), torch.ones(13), atol=1e-5)
    assert raw.x.std().item() == pytest.approx(1, abs=1e-5)
    assert raw.x.std(0).max() > 1000 * raw.x.std(0).min()
    assert torch.equal(raw.test_y, scaled.test_y)
    assert torch.allclose(raw.x / raw.x.std(0), scaled.x, atol=1e-4)


def test_numbers_to_predict_are_scaled_and_features_as_published() -> None:
    found = table("diabetes", False, 0)
    assert torch.cat([found.y, found.test_y]).std().item() == pytest.approx(1, abs=1e-4)
    assert len(found.x) + len(found.test_x) == 442
    assert found.x.std(0).max() > 50 * found.x.std(0).min()


def test_a_net_that_learnt_nothing_has_the_loss_of_guessing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guide_tabular, "STEPS", 40)
    options = CANDIDATES["Adam"].options
    still = {"SGD": Candidate(options, (1e-12,)), "Adam": Candidate(options, (1e-12, 0.01))}
    monkeypatch.setattr(guide_tabular, "CANDIDATES", still)
    found = guide_tabular.measure(0)
    for case, one in found.items():
        assert one["SGD"]["test"] == pytest.approx(1, rel=0.35), case
        assert one["Adam"]["lr"] == 0.01, case
        assert one["Adam"]["test"] < one["SGD"]["test"], case
