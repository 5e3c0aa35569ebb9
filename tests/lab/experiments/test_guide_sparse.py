"""Optimizers on sparse features, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import guide_sparse
from gdlightning.lab.experiments.guide_sparse import CANDIDATES, CASES, LENGTH, SILENT, WORDS
from gdlightning.lab.tuning import Candidate

WANDER = (0.0, 0.01, -0.01, 0.005, 0.002)


def records(*losses: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    """Return five seeds with test losses per case: SGD, momentum, Adam, Adagrad."""
    return [
        {
            case: {
                name: {"test": loss + (k + 1) * wander / 10, "learnt": [0.1] * 5}
                for k, (name, loss) in enumerate(zip(CANDIDATES, own, strict=True))
            }
            for case, own in zip(CASES, losses, strict=True)
        }
        for wander in WANDER
    ]


EVEN = (0.4, 0.4, 0.4, 0.4)


@pytest.mark.parametrize(
    ("zipf", "falling", "verdict"),
    [
        ((0.6, 0.55, 0.48, 0.45), (0.55, 0.5, 0.46, 0.45), ClaimVerdict.HOLDS),
        ((0.6, 0.55, 0.48, 0.45), (0.55, 0.5, 0.44, 0.45), ClaimVerdict.CONDITIONS),
        ((0.6, 0.55, 0.48, 0.45), (0.55, 0.44, 0.46, 0.45), ClaimVerdict.CONDITIONS),
        ((0.6, 0.44, 0.48, 0.45), EVEN, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_the_losses(zipf: Any, falling: Any, verdict: ClaimVerdict) -> None:
    outcome = guide_sparse.conclude(records(zipf, falling, EVEN))
    assert outcome.verdict is verdict
    assert "SGD with momentum 0.55" in outcome.words or verdict is ClaimVerdict.NOT_HERE


def test_words_are_as_frequent_as_zipf_says() -> None:
    """Frequencies are 1/k divided by the harmonic number; classes follow the weights."""
    words, classes, weights = guide_sparse.texts(0, 4000, 1.0)
    assert words.shape == (4000, LENGTH)
    shares = torch.bincount(words.flatten(), minlength=WORDS).double() / words.numel()
    whole = sum(1 / k for k in range(1, WORDS + 1))
    assert shares[[0, 1, 9]].tolist() == pytest.approx(
        [1 / whole, 1 / 2 / whole, 1 / 10 / whole], rel=0.1
    )
    assert not weights[:SILENT].any()
    assert weights[SILENT:].all()
    chance = torch.sigmoid(weights[words].sum(1))
    for low, high in ((0.0, 0.3), (0.7, 1.0)):
        own = (chance >= low) & (chance <= high)
        assert classes[own].mean().item() == pytest.approx(chance[own].mean().item(), abs=0.03)


def test_where_all_are_equally_frequent_all_have_a_weight() -> None:
    words, _, weights = guide_sparse.texts(0, 4000, 0.0)
    seen = torch.bincount(words.flatten(), minlength=WORDS).double()
    assert seen.std() < 1.2 * seen.mean().sqrt()  # as Poisson's
    assert weights.all()


def test_a_small_trial_shows_what_rare_words_get(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TRAIN": 2000, "VALIDATION": 300, "TEST": 300, "PASSES": 1}.items():
        monkeypatch.setattr(guide_sparse, name, value)
    two = {
        "SGD": Candidate(CANDIDATES["SGD"].options, (0.3,)),
        "Adagrad": Candidate(CANDIDATES["Adagrad"].options, (0.3, 1000.0)),
    }
    monkeypatch.setattr(guide_sparse, "CANDIDATES", two)
    found = guide_sparse.measure(0)
    assert list(found) == list(CASES)
    zipf = found[next(iter(CASES))]
    assert zipf["Adagrad"]["lr"] == 0.3
    assert zipf["Adagrad"]["learnt"][0] > 2 * zipf["SGD"]["learnt"][0] > 0
