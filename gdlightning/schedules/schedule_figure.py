"""Drawings of schedules in the terminal and as PNG."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path

from gdlightning.drawing import style
from gdlightning.drawing.terminal_plot import draw
from gdlightning.schedules.schedule import Schedule

STEPS = 400
"""Number of steps over which a schedule is drawn."""


def curve(schedule: Schedule, steps: int = STEPS) -> list[float]:
    """Return the multiplier at each step.

    ``reduce_on_plateau`` is drawn for a metric that stops improving halfway.

    Args:
        schedule: schedule to evaluate; not modified.
        steps: number of steps.
    """
    schedule = copy.deepcopy(schedule)  # observing metrics changes the state of a plateau
    factors = []
    epoch = max(1, steps // 40)
    for step in range(steps):
        if schedule.needs_metric and step % epoch == 0:
            schedule.observe({schedule.needs_metric: max(0.5, 1 - step / steps)})
        factors.append(schedule.factor(step, steps, epoch))
    return factors


def draw_text(factors: Sequence[float], width: int = 60, height: int = 6) -> str:
    """Draw a curve in Braille characters, with multiplier 1 at the top.

    Args:
        factors: multiplier at each step.
        width: width in characters.
        height: height in lines.
    """
    marks = {0: "1", height - 1: "0"}
    return "\n".join(
        f"{marks.get(k, ''):>3} │{line}" for k, line in enumerate(draw(factors, width, height))
    )


def draw_png(schedules: dict[str, Schedule], path: Path) -> None:
    """Draw each schedule in its own panel of a PNG, written atomically.

    Args:
        schedules: schedules by name.
        path: file to write.

    Raises:
        UserError: if matplotlib is not installed.
    """
    columns = min(4, len(schedules))
    lines = math.ceil(len(schedules) / columns)
    made, panels = style.figure(lines, columns, size=(3.1, 2.1), what="Drawing a PNG")
    for panel, (name, schedule) in zip(panels, schedules.items(), strict=False):
        factors = curve(schedule)
        percent = [100 * k / len(factors) for k in range(len(factors))]
        panel.fill_between(percent, factors, color=style.SERIES[0], alpha=0.12, linewidth=0)
        panel.plot(percent, factors, color=style.SERIES[0], linewidth=1.8)
        style.title(panel, name)
        panel.set(xlim=(0, 100), ylim=(0, 1.08), xticks=(0, 50, 100), yticks=(0, 1))
    for panel in panels[len(schedules) :]:
        panel.set_visible(False)
    made.supxlabel("% of training", fontsize=9, color=style.LIGHT.muted)
    made.supylabel("multiplier of lr", fontsize=9, color=style.LIGHT.muted)
    style.save(made, path)
