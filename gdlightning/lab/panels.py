"""Panels that compare optimizers, shared by the experiments, with one colour per optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.experiment import Found
from gdlightning.lab.tuning import Candidate

COLOURS = {
    "SGD": SERIES[0],
    "SGD with momentum": SERIES[1],
    "Adam": SERIES[2],
    "Adagrad": SERIES[3],
    "AdamW": SERIES[4],
    "AdamW with warm-up": SERIES[4],
    "AdamW without warm-up": SERIES[6],
}


def curves(
    panel: Any, found: Sequence[Found], candidates: Mapping[str, Candidate], theme: Theme
) -> None:
    """Plot validation loss by learning rate: median and range over seeds, a gap if one diverged."""
    for name, one in candidates.items():
        colour = COLOURS[name]
        columns = list(zip(*(seed[name]["validation"] for seed in found), strict=True))
        whole = [None not in column for column in columns]
        spread = [column if ok else (math.nan,) for ok, column in zip(whole, columns, strict=True)]
        panel.plot(
            one.lrs,
            [median(c) for c in spread],
            color=colour,
            lw=1.6,
            marker="o",
            ms=3.5,
            label=name,
        )
        panel.fill_between(
            one.lrs,
            [min(c) for c in spread],
            [max(c) for c in spread],
            color=colour,
            alpha=0.18,
            lw=0,
        )
    panel.set(xscale="log", xlabel="learning rate", ylabel="validation loss")
    panel.grid(axis="y", color=theme.rule, lw=0.5)
    panel.set_axisbelow(True)


def dots(
    panel: Any,
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    theme: Theme,
    width: float = 0.8,
) -> None:
    """Plot values of candidates in groups: a dot per seed, and a bar at the median."""
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
                panel.hlines(
                    median(known),
                    middle - 0.42 * step,
                    middle + 0.42 * step,
                    color=colour,
                    lw=2.2,
                    zorder=2,
                )
    panel.set_xticks(range(len(groups)), list(groups), color=theme.ink)
    panel.set(xlim=(-0.55, len(groups) - 0.45), ylabel="test loss")
    panel.grid(axis="y", color=theme.rule, lw=0.5)
    panel.set_axisbelow(True)
