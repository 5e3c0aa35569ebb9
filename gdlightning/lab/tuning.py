"""Optimizers beside each other, each at its own learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from gdlightning.lab.experiment import Found
from gdlightning.study.statistics import Difference, compare

FRESH = 1000
"""Added to the seed of the trainings that are tested: other weights, another order."""


@dataclass(frozen=True)
class Candidate:
    """An optimizer and the learning rates that are tried of it.

    Args:
        options: its name and what is not tuned.
        lrs: smallest first.
    """

    options: Mapping[str, Any]
    lrs: Sequence[float]


def grid(low: float, high: float, a_decade: int = 3) -> list[float]:
    """Learning rates evenly spread over a logarithmic scale, both ends included."""
    count = round(a_decade * math.log10(high / low))
    return [low * (high / low) ** (k / count) for k in range(count + 1)]


def tuned(
    candidates: Mapping[str, Candidate],
    train: Callable[[dict[str, Any], int], nn.Module],
    validation: Callable[[Any], float],
    report: Callable[[Any], Found],
    seed: int,
) -> Found:
    """For each candidate: loss by learning rate, the best, and what a fresh training with it shows.

    Args:
        candidates: by name.
        train: from an optimizer and a seed to a trained net.
        validation: the loss by which learning rates are chosen.
        report: of the fresh net; ``test`` is its loss on examples that served for nothing else.
        seed: of the trainings that choose.
    """
    found: Found = {}
    for name, one in candidates.items():
        losses = [validation(train({**one.options, "lr": lr}, seed)) for lr in one.lrs]
        usable = [loss if math.isfinite(loss) else math.inf for loss in losses]
        best = one.lrs[usable.index(min(usable))]
        found[name] = {
            "validation": [loss if math.isfinite(loss) else None for loss in losses],
            "lr": best,
            **_finite(report(train({**one.options, "lr": best}, seed + FRESH))),
        }
    return found


def _finite(report: Found) -> Found:
    lost = {k for k, v in report.items() if isinstance(v, float) and not math.isfinite(v)}
    return report | dict.fromkeys(lost)


def reported(found: Sequence[Found], key: str = "test") -> dict[str, list[float]]:
    """Candidate → its test loss, or what else is reported, a seed; infinite where not finite."""
    return {
        name: [math.inf if one[name][key] is None else one[name][key] for one in found]
        for name in found[0]
    }


def below(scores: Mapping[str, Sequence[float]], first: str, second: str) -> list[bool]:
    """For each seed, whether the first has the lower score."""
    return [a < b for a, b in zip(scores[first], scores[second], strict=True)]


def differences(scores: Mapping[str, Sequence[float]]) -> dict[tuple[str, str], Difference]:
    """(better, worse) → their difference by a paired test over seeds, corrected for all pairs."""
    return {(one.first, one.second): one for one in compare(scores)}


def better(scores: Mapping[str, Sequence[float]], first: str, second: str) -> bool:
    """Whether the seeds show that one is better than the other."""
    one = differences(scores).get((first, second))
    return one is not None and one.shown
