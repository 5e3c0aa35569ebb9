"""Figures of a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gdlightning.drawing.style import LIGHT, SERIES, Theme, figure, legend, title
from gdlightning.study.comparison_result import ComparisonResult, Ranking, Row

WHAT = "The report's figures"


def colours(labels: Sequence[str]) -> dict[str, str]:
    """Return one colour per optimizer for all figures."""
    return {label: SERIES[k % len(SERIES)] for k, label in enumerate(labels)}


def draw_ranking(ranking: Ranking, colour: Mapping[str, str], theme: Theme = LIGHT) -> Any:
    """Plot the result of each seed, the mean and its interval, with the best at the top."""
    rows = ranking.rows
    made, (panel,) = figure(size=(7.6, 0.75 + 0.46 * len(rows)), theme=theme, what=WHAT)
    for height, row in enumerate(reversed(rows)):
        ink = colour[row.label]
        panel.plot(
            [row.value.low, row.value.high],
            [height, height],
            color=ink,
            lw=2.2,
            alpha=0.45,
            solid_capstyle="round",
        )
        panel.scatter(row.values, [height] * len(row.values), s=18, color=ink, alpha=0.7, lw=0)
        panel.scatter(
            [row.value.mean],
            [height],
            s=60,
            marker="D",
            color=ink,
            zorder=3,
            edgecolor=theme.paper,
            lw=1.2,
        )
    panel.set_yticks(range(len(rows)), [r.label for r in reversed(rows)], fontsize=9.5)
    for text in panel.get_yticklabels():
        text.set_color(theme.ink)
    panel.set_ylim(-0.6, len(rows) - 0.4)
    _zoom(panel, [v for r in rows for v in (*r.values, r.value.mean)])
    panel.grid(axis="x", color=theme.rule, lw=0.6, alpha=0.6)
    panel.set_axisbelow(True)
    better = "higher" if ranking.higher else "lower"
    panel.set_xlabel(f"{ranking.metric} ({better} is better)")
    return made


def draw_curves(ranking: Ranking, colour: Mapping[str, str], theme: Theme = LIGHT) -> Any:
    """Plot the validation metric during training, as mean over seeds with a min–max band."""
    made, panels = figure(1, 2, size=(5.4, 3.6), theme=theme, what=WHAT)
    values = [v for r in ranking.rows for c in r.curves for _, _, v in c]
    logged = bool(values) and min(values) > 0 and not ranking.higher
    for panel, axis, name in zip(panels, (0, 1), ("optimizer steps", "seconds"), strict=True):
        for row in ranking.rows:
            _band(panel, row, axis, colour[row.label])
        if logged:
            panel.set_yscale("log")
            _plain_ticks(panel)
        _ceiling(panel, ranking, values)
        if math.isfinite(ranking.target):
            panel.axhline(ranking.target, color=theme.muted, lw=1, ls=(0, (4, 3)))
        panel.set_xlabel(name)
        panel.set_xlim(left=0)
    title(panels[0], ranking.tuned_for, theme)
    title(panels[1], "by training time", theme)
    legend(panels[1], theme, loc="upper right")
    return made


def _band(panel: Any, row: Row, axis: int, ink: str) -> None:
    whole = [c for c in row.curves if len(c) == max(map(len, row.curves)) > 0]
    points = list(zip(*whole, strict=True))
    if not points:
        return
    across = [sum(p[axis] for p in at) / len(at) for at in points]
    low, high = ([pick(p[2] for p in at) for at in points] for pick in (min, max))
    panel.fill_between(across, low, high, color=ink, alpha=0.16, lw=0)
    middle = [sum(p[2] for p in at) / len(at) for at in points]
    panel.plot(across, middle, color=ink, lw=1.8, label=row.label)


def draw_sensitivity(ranking: Ranking, colour: Mapping[str, str], theme: Theme = LIGHT) -> Any:
    """Plot the result over the learning rate, with the good range of each optimizer below."""
    rows = [r for r in ranking.rows if r.sensitivity]
    made, (panel,) = figure(size=(8.2, 3.9), theme=theme, what=WHAT)
    sign = -1.0 if ranking.higher else 1.0
    values = [sign * s for r in rows if r.sensitivity for _, s in r.sensitivity.points]
    for row in rows:
        found, ink = row.sensitivity, colour[row.label]
        if found is None:
            continue
        lrs, scores = zip(*found.points, strict=True)
        panel.plot(
            lrs,
            [sign * s for s in scores],
            color=ink,
            lw=1.6,
            marker="o",
            ms=4,
            label=f"{row.label} (×{found.width:.3g})",
        )
    panel.set_xscale("log")
    if values and min(values) > 0:
        panel.set_yscale("log")
        _plain_ticks(panel)
    panel.margins(y=0.06 + 0.03 * len(rows))
    for place, row in enumerate(rows):
        if row.sensitivity:
            panel.plot(
                [row.sensitivity.low, row.sensitivity.high],
                [0.03 + 0.028 * place] * 2,
                lw=3.5,
                alpha=0.8,
                color=colour[row.label],
                solid_capstyle="round",
                transform=panel.get_xaxis_transform(),
            )
    panel.set_xlabel("learning rate")
    panel.set_ylabel(ranking.tuned_for)
    legend(panel, theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return made


def draw_profiles(found: ComparisonResult, colour: Mapping[str, str], theme: Theme = LIGHT) -> Any:
    """Plot the fraction of workloads whose target is reached within τ times the fastest's steps."""
    made, (panel,) = figure(size=(8.2, 3.6), theme=theme, what=WHAT)
    order = sorted(found.profiles, key=lambda k: -found.scores[k])
    for place, label in enumerate(order):
        across, heights = zip(*found.profiles[label], strict=True)
        shifted = [h - 0.006 * place for h in heights]  # keeps overlapping lines visible
        panel.step(
            across,
            shifted,
            where="post",
            lw=2,
            color=colour[label],
            label=f"{label} ({found.scores[label]:.2f})",
        )
    panel.set_ylim(-0.05, 1.05)
    panel.set_xlabel("τ: steps to the target relative to the fastest optimizer")
    panel.set_ylabel("fraction of workloads")
    title(panel, "Fraction of workloads whose target is reached within τ", theme)
    legend(panel, theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return made


def _zoom(panel: Any, values: Sequence[float]) -> None:
    """Limit an axis to the values, because intervals of few seeds may be much wider."""
    known = [v for v in values if math.isfinite(v)]
    if known:
        low, high = min(known), max(known)
        room = (high - low or abs(high) or 1.0) * 0.35
        panel.set_xlim(low - room, high + room)


def _ceiling(panel: Any, ranking: Ranking, values: Sequence[float]) -> None:
    """Clip an axis slightly above the untrained model."""
    if values and math.isfinite(ranking.untrained) and not ranking.higher:
        low, high = min(values), min(max(values), 1.3 * ranking.untrained)
        panel.set_ylim(low * 0.9 if low > 0 else None, high * 1.05 if high > 0 else None)


def _plain_ticks(panel: Any) -> None:
    """Label a logarithmic axis with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
