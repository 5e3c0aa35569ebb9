"""Accuracy after fine-tuning, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import fine_tuning
from gdlightning.lab.experiments.fine_tuning import RATES, turn
from gdlightning.lab.samples import digits


def record(tuned: int, scratch: int, kept: int) -> dict[str, Any]:
    """Return measurements by the indices of the best rates, and of the largest that keeps."""

    def rows(best: int) -> list[dict[str, float]]:
        return [
            {"loss": abs(k - best), "new": 0.8, "old": 0.95 if k <= kept else 0.5}
            for k in range(len(RATES))
        ]

    return {"before": 0.97, "fine-tuned": rows(tuned), "from scratch": rows(scratch)}


@pytest.mark.parametrize(
    ("tuned", "scratch", "kept", "verdict"),
    [
        (2, 4, 2, ClaimVerdict.HOLDS),
        (4, 4, 3, ClaimVerdict.CONDITIONS),
        (5, 4, 2, ClaimVerdict.CONDITIONS),
        (4, 4, 5, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_the_rates(
    tuned: int, scratch: int, kept: int, verdict: ClaimVerdict
) -> None:
    outcome = fine_tuning.conclude([record(tuned, scratch, kept)] * 3)
    assert outcome.verdict is verdict
    by_name = {e.what: e.middle for e in outcome.effects}
    assert by_name["largest learning rate that keeps the upright digits"] == RATES[kept]
    lost = 2 if tuned <= kept else 47
    assert by_name["accuracy lost on upright digits at the best rate"] == pytest.approx(lost)


def test_turning_by_a_right_angle_moves_pixels() -> None:
    images = digits(0, 20).x
    expected = torch.rot90(images.view(-1, 8, 8), 1, (1, 2)).flatten(1)
    torch.testing.assert_close(turn(images, 90.0), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(turn(images, 0.0), images, rtol=1e-5, atol=1e-5)
