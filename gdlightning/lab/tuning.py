"""Optimizers beside each other, each at its own learning rate, and how that is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from torch import nn

from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.experiment import Found
from gdlightning.study.statistics import Difference, compare

COLOURS = {
    "SGD": SERIES[0], "SGD with momentum": SERIES[1], "Adam": SERIES[2], "Adagrad": SERIES[3],
    "AdamW": SERIES[4], "AdamW with warm-up": SERIES[4], "AdamW without warm-up": SERIES[6],
}  # fmt: skip
"""The same in all figures."""
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


def differences(scores: Mapping[str, Sequence[float]]) -> dict[tuple[str, str], Difference]:
    """(better, worse) → their difference by a paired test over seeds, corrected for all pairs."""
    return {(one.first, one.second): one for one in compare(scores)}


def better(scores: Mapping[str, Sequence[float]], first: str, second: str) -> bool:
    """Whether the seeds show that one is better than the other."""
    one = differences(scores).get((first, second))
    return one is not None and one.shown


def curves(
    panel: Any, found: Sequence[Found], candidates: Mapping[str, Candidate], theme: Theme
) -> None:
    """Validation loss by learning rate: median and range over seeds; a gap where one diverged."""
    for name, one in candidates.items():
        colour = COLOURS[name]
        columns = list(zip(*(seed[name]["validation"] for seed in found), strict=True))
        whole = [None not in column for column in columns]
        spread = [column if ok else (math.nan,) for ok, column in zip(whole, columns, strict=True)]
        panel.plot(one.lrs, [median(c) for c in spread], color=colour, lw=1.6, marker="o", ms=3.5,
                   label=name)  # fmt: skip
        panel.fill_between(one.lrs, [min(c) for c in spread], [max(c) for c in spread],
                           color=colour, alpha=0.18, lw=0)  # fmt: skip
    panel.set(xscale="log", xlabel="learning rate", ylabel="validation loss")
    panel.grid(axis="y", color=theme.rule, lw=0.5)
    panel.set_axisbelow(True)


def dots(
    panel: Any,
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    theme: Theme,
    width: float = 0.8,
) -> None:
    """Values of several candidates in groups: each seed a dot, the median a bar."""
    for place, scores in enumerate(groups.values()):
        step = width / len(scores)
        for k, (name, values) in enumerate(scores.items()):
            colour = COLOURS[name]
            known = [v for v in values if math.isfinite(v)]
            middle = place - width / 2 + step * (k + 0.5)
            across = [
                middle + step * 0.3 * (j / max(1, len(known) - 1) - 0.5) for j in range(len(known))
            ]
            panel.scatter(across, known, s=16, color=colour, alpha=0.8, lw=0, zorder=3)
            if known:
                panel.hlines(median(known), middle - 0.42 * step, middle + 0.42 * step,
                             color=colour, lw=2.2, zorder=2)  # fmt: skip
    panel.set_xticks(range(len(groups)), list(groups), color=theme.ink)
    panel.set(xlim=(-0.55, len(groups) - 0.45), ylabel="test loss")
    panel.grid(axis="y", color=theme.rule, lw=0.5)
    panel.set_axisbelow(True)
