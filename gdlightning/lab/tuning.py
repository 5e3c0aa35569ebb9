"""Comparison of optimizers, each with a tuned learning rate."""

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
    """An optimizer with the learning rates to try.

    Args:
        options: name of the optimizer, and options that are not tuned.
        lrs: learning rates in ascending order.
    """

    options: Mapping[str, Any]
    lrs: Sequence[float]


def grid(low: float, high: float, a_decade: int = 3) -> list[float]:
    """Return learning rates that are evenly spaced on a logarithmic scale, including both ends."""
    count = round(a_decade * math.log10(high / low))
    return [low * (high / low) ** (k / count) for k in range(count + 1)]


def tuned(
    candidates: Mapping[str, Candidate],
    train: Callable[[dict[str, Any], int], nn.Module],
    validation: Callable[[Any], float],
    report: Callable[[Any], Found],
    seed: int,
) -> Found:
    """Tune the learning rate of each candidate, and test a new run with the best one.

    Args:
        candidates: candidates by name.
        train: function from an optimizer and a seed to a trained net.
        validation: function from a net to the loss that selects the learning rate.
        report: function from the net of the new run to its results; ``test`` is the loss on
            examples that are used for nothing else.
        seed: seed of the runs that select the learning rate.

    Returns:
        For each candidate the validation loss by learning rate, the best learning rate, and the
        results of the new run.
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
    """Return the test loss, or another result, of each candidate per seed; inf if not finite."""
    return {
        name: [math.inf if one[name][key] is None else one[name][key] for one in found]
        for name in found[0]
    }


def below(scores: Mapping[str, Sequence[float]], first: str, second: str) -> list[bool]:
    """Return for each seed whether the first candidate has the lower score."""
    return [a < b for a, b in zip(scores[first], scores[second], strict=True)]


def differences(scores: Mapping[str, Sequence[float]]) -> dict[tuple[str, str], Difference]:
    """Return the difference of each pair (better, worse) by a paired test, Holm-corrected."""
    return {(one.first, one.second): one for one in compare(scores)}


def better(scores: Mapping[str, Sequence[float]], first: str, second: str) -> bool:
    """Return whether the first candidate is significantly better than the second."""
    one = differences(scores).get((first, second))
    return one is not None and one.shown
