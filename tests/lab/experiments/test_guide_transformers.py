"""Transformers with AdamW and warmup, and the rule of the verdict."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import guide_transformers
from gdlightning.lab.experiments.guide_transformers import (
    ADAMW,
    BARE,
    BEST,
    BLIND,
    CANDIDATES,
    MOMENTUM,
    NORMS,
    RATES,
    SYMBOLS,
    Decoder,
    sequences,
)
from gdlightning.lab.tuning import Candidate


def records(
    losses: dict[str, tuple[float, float, float]], bare: tuple[int, int]
) -> list[dict[str, Any]]:
    """Three seeds.

    Args:
        losses: by norm: AdamW with warm-up, without, momentum.
        bare: how many of the learning rates learn without warm-up, by norm; with it 4 do.
    """

    def case(own: tuple[float, ...], learning: int, wander: float) -> Any:
        found = {}
        for name, loss in zip((ADAMW, BARE, MOMENTUM), own, strict=True):
            many = learning if name == BARE else 4
            lrs = CANDIDATES[name].lrs
            found[name] = {
                "validation": [
                    0.6 if k < many else None if k % 2 else 2.0 for k in range(len(lrs))
                ],
                "test": loss + wander,
            }
        return found

    return [
        {norm: case(losses[norm], many, wander) for norm, many in zip(NORMS, bare, strict=True)}
        for wander in (0.0, 0.1, -0.05)
    ]


BEFORE, AFTER = NORMS


@pytest.mark.parametrize(
    ("losses", "bare", "verdict"),
    [
        ({BEFORE: (0.5, 0.52, 0.6), AFTER: (0.5, 0.52, 0.6)}, (4, 4), ClaimVerdict.HOLDS),
        ({BEFORE: (0.5, 0.5, 0.6), AFTER: (0.5, 0.52, 0.6)}, (4, 4), ClaimVerdict.CONDITIONS),
        ({BEFORE: (0.5, 0.5, 0.6), AFTER: (0.5, 0.5, 0.6)}, (4, 3), ClaimVerdict.CONDITIONS),
        ({BEFORE: (0.5, 0.5, 0.6), AFTER: (0.5, 0.5, 0.6)}, (4, 4), ClaimVerdict.NOT_HERE),
        ({BEFORE: (0.5, 0.52, 0.4), AFTER: (0.5, 0.52, 0.6)}, (4, 3), ClaimVerdict.CONDITIONS),
        ({BEFORE: (0.5, 0.52, 0.4), AFTER: (0.5, 0.52, 0.4)}, (4, 3), ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_losses_and_rates(
    losses: Any, bare: tuple[int, int], verdict: ClaimVerdict
) -> None:
    outcome = guide_transformers.conclude(records(losses, bare))
    assert outcome.verdict is verdict
    rates = {e.what: e.values for e in outcome.effects if e.what.startswith("largest")}
    assert rates[f"largest learning rate that learns, {AFTER}, {ADAMW}"] == (RATES[3],) * 3
    assert rates[f"largest learning rate that learns, {AFTER}, {BARE}"] == (RATES[bare[1] - 1],) * 3


def test_the_best_loss_is_that_of_the_table() -> None:
    """The best possible loss is the entropy of a symbol given the table."""
    rows = sequences(1, 4000)
    following = rows[:, 2:].flatten()
    code = (rows[:, 1:-1] * SYMBOLS + rows[:, :-2]).flatten()
    counts = torch.zeros(SYMBOLS**2, SYMBOLS, dtype=torch.float64)
    counts.index_put_((code, following), torch.ones(len(code), dtype=torch.float64), True)
    chance = counts / counts.sum(1, keepdim=True).clamp(min=1)
    cost = -torch.xlogy(counts, chance).sum() / counts.sum()
    assert cost.item() == pytest.approx(BEST, abs=0.02)
    shares = chance.max(1).values[counts.sum(1) > 300]
    assert shares.mean().item() == pytest.approx(1 - BLIND + BLIND / SYMBOLS, abs=0.01)


@pytest.mark.parametrize("first", [True, False])
def test_no_symbol_is_seen_before_it_is_told(first: bool) -> None:
    torch.manual_seed(0)
    net = Decoder(norm_first=first)
    rows = sequences(0, 2)[:, :-1]
    other = rows.clone()
    other[:, 6] = (other[:, 6] + 1) % SYMBOLS
    with torch.no_grad():
        apart = (net(rows) - net(other)).abs().amax((0, 2))
    assert apart[:6].max() < 1e-6
    assert apart[6:].min() > 1e-4


def test_a_short_trial_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide_transformers, "STEPS", 25)
    monkeypatch.setattr(guide_transformers, "WARM", 5)
    monkeypatch.setattr(guide_transformers, "DEPTH", 1)
    one = {ADAMW: Candidate({"name": "adamw", "warmup": 5}, (1e-9, 0.01))}
    monkeypatch.setattr(guide_transformers, "CANDIDATES", one)
    found = guide_transformers.measure(0)
    for norm in NORMS:
        assert found[norm][ADAMW]["lr"] == 0.01
        assert BEST < found[norm][ADAMW]["test"] < math.log(SYMBOLS)
