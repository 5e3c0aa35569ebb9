"""Schedules drawn in the terminal and as PNG."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path

from gdlightning.drawing import style
from gdlightning.drawing.text import draw
from gdlightning.schedules.schedule import Schedule

STEPS = 400


def curve(schedule: Schedule, steps: int = STEPS) -> list[float]:
    """The factor at each step; a plateau is shown a metric that stops improving half-way."""
    schedule = copy.deepcopy(schedule)  # drawing must not change what a plateau remembers
    factors = []
    epoch = max(1, steps // 40)
    for step in range(steps):
        if schedule.needs_metric and step % epoch == 0:
            schedule.observe({schedule.needs_metric: max(0.5, 1 - step / steps)})
        factors.append(schedule.factor(step, steps, epoch))
    return factors


def draw_text(factors: Sequence[float], width: int = 60, height: int = 6) -> str:
    """A curve in Braille dots, ``width`` by ``height`` characters, factor 1 at the top."""
    marks = {0: "1", height - 1: "0"}
    return "\n".join(
        f"{marks.get(k, ''):>3} │{line}" for k, line in enumerate(draw(factors, width, height))
    )


def draw_png(schedules: dict[str, Schedule], path: Path) -> None:
    """Small multiples of all schedules, one panel each, written whole or not at all.

    Raises:
        UserError: matplotlib is not installed.
    """
    columns = min(4, len(schedules))
    lines = math.ceil(len(schedules) / columns)
    made, panels = style.figure(lines, columns, size=(3.1, 2.1), what="Drawing a PNG")
    for panel, (name, schedule) in zip(panels, schedules.items(), strict=False):
        factors = curve(schedule)
        share = [100 * k / len(factors) for k in range(len(factors))]
        panel.fill_between(share, factors, color=style.SERIES[0], alpha=0.12, linewidth=0)
        panel.plot(share, factors, color=style.SERIES[0], linewidth=1.8)
        style.title(panel, name)
        panel.set(xlim=(0, 100), ylim=(0, 1.08), xticks=(0, 50, 100), yticks=(0, 1))
    for panel in panels[len(schedules) :]:
        panel.set_visible(False)
    made.supxlabel("% of training", fontsize=9, color=style.LIGHT.muted)
    made.supylabel("factor of lr", fontsize=9, color=style.LIGHT.muted)
    style.save(made, path)
