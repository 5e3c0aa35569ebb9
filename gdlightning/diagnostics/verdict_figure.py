"""Draw the measurements of a run as one figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdlightning.diagnostics.checks.batch_size import noise_scale
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict
from gdlightning.drawing import style
from gdlightning.drawing.style import LIGHT, Theme


def draw(record: RunRecord, verdicts: Sequence[Verdict], path: Path) -> None:
    """Save the figure of a run.

    Args:
        record: The measurements of the run.
        verdicts: The verdicts, whose first steps are marked.
        path: The image file.

    Raises:
        UserError: If matplotlib is not installed or the file format is not supported.
    """
    with np.errstate(all="ignore"):  # axis limits of large values are computed when saving
        style.save(overview(record, verdicts), path)


def overview(record: RunRecord, verdicts: Sequence[Verdict], theme: Theme = LIGHT) -> Any:
    """Return a figure of loss, gain ratio, step size, gradient norm, layers and dead units."""
    made, panels = style.figure(2, 3, size=(4.4, 2.9), theme=theme, what="Drawing a diagnosis")
    for panel, paint in zip(panels, (_loss, _gain, _steps, _norm, _layers, _units), strict=True):
        with np.errstate(all="ignore"):  # measurements may overflow
            paint(panel, record, theme)
        panel.set_xlabel("optimizer step")
        panel.set_xlim(0, max(1, len(record.losses)))
    bad = [v for v in verdicts if v.severity in ("fault", "warning") and v.first > 0]
    for verdict in bad[:3]:
        for panel in panels[:4]:
            panel.axvline(verdict.first, color=style.BAD, linewidth=0.8, linestyle=(0, (4, 3)))
    return made


def _loss(panel: Any, record: RunRecord, theme: Theme) -> None:
    losses = record.losses
    panel.plot(range(len(losses)), losses, color=style.SERIES[0], linewidth=0.5, alpha=0.35)
    window = max(1, len(losses) // 50)
    centres = range(window // 2, len(losses), window)
    smooth = [record.smooth(k / len(losses), (k + window) / len(losses)) for k in centres]
    panel.plot(list(centres), smooth, color=style.SERIES[0], linewidth=1.8, label="training")
    validated = [(k, m["val_loss"]) for k, m in record.validations.items() if "val_loss" in m]
    if validated:
        steps, values = zip(*validated, strict=True)
        panel.plot(
            steps,
            values,
            color=style.SERIES[1],
            linewidth=1.5,
            marker="o",
            markersize=3,
            label="validation",
        )
    for spike in record.spikes[:30]:
        panel.plot(spike["step"], spike["loss"], "v", color=style.BAD, markersize=4)
    shown = [v for v in (*record.finite, *(v for _, v in validated)) if math.isfinite(v)]
    if shown and min(shown) > 0 and max(shown) > 20 * min(shown):
        panel.set_yscale("log")
    style.legend(panel, theme)
    style.title(panel, "loss", theme)


def _gain(panel: Any, record: RunRecord, theme: Theme) -> None:
    shown = [(k, min(1.3, max(-1.0, g))) for k, g in record.gains]
    panel.axhline(1, color=theme.rule, linewidth=1)
    panel.axhline(0, color=theme.rule, linewidth=1)
    if shown:
        colours = [style.BAD if g < 0 else style.SERIES[0] for _, g in shown]
        panel.scatter(*zip(*shown, strict=True), s=12, c=colours, linewidths=0)
    panel.set_ylim(-1.1, 1.4)
    panel.set_yticks([-1, 0, 1], ["≤ −1", "0", "1"])
    for height, text in ((1.08, "tiny steps"), (-0.32, "overshooting steps")):
        panel.text(
            0.99,
            height,
            text,
            fontsize=7.5,
            color=theme.muted,
            ha="right",
            transform=panel.get_yaxis_transform(),
        )
    style.title(panel, "gain ratio: actual / predicted loss change", theme)


def _steps(panel: Any, record: RunRecord, theme: Theme) -> None:
    step, ratio, lr = record.steps.step, record.steps.update_ratio, record.steps.lr
    if (ratio > 0).any():
        panel.plot(
            step[ratio > 0], ratio[ratio > 0], color=style.SERIES[2], linewidth=1.5, label="step"
        )
        panel.set_yscale("log")
    if (lr > 0).any():
        panel.plot(
            step[lr > 0],
            lr[lr > 0],
            color=style.SERIES[1],
            linewidth=1.2,
            linestyle=(0, (3, 2)),
            label="learning rate",
        )
    style.legend(panel, theme)
    style.title(panel, "step-to-weight ratio", theme)


def _norm(panel: Any, record: RunRecord, theme: Theme) -> None:
    step, norm = record.steps.step, record.steps.grad_norm
    if (norm > 0).any():
        panel.plot(step[norm > 0], norm[norm > 0], color=style.SERIES[0], linewidth=1.5)
        panel.set_yscale("log")
    scale = noise_scale(record)
    batch = f"{10 ** round(math.log10(max(1, scale))):,}" if scale else ""
    noise = f"; critical batch size ≈ {batch}" if batch else ""
    style.title(panel, f"gradient norm{noise}", theme)


def _layers(panel: Any, record: RunRecord, theme: Theme) -> None:
    step, grads, weights = record.steps.all_layers()
    count = grads.shape[1]
    colours = _shades(count)
    relative = np.where((grads > 0) & (weights > 0), grads / weights, math.nan)
    for k in range(count):
        if (weights[:, k] > 0).any():
            label = ("first layer" if k == 0 else "last layer") if k in (0, count - 1) else None
            panel.plot(step, relative[:, k], color=colours[k], linewidth=1.1, label=label)
    if count:
        panel.set_yscale("log")
        style.legend(panel, theme)
    style.title(panel, "gradient-to-weight ratio per layer", theme)


def _units(panel: Any, record: RunRecord, theme: Theme) -> None:
    step, dead = record.steps.step, record.steps.dead
    for colour, share in zip(_shades(len(dead)), dead.values(), strict=True):
        seen = ~np.isnan(share)
        panel.plot(step[seen], share[seen], color=colour, linewidth=1.2)
    panel.set_ylim(-0.03, 1.03)
    panel.set_yticks([0, 0.5, 1], ["0", "half", "all"])
    if not dead:
        panel.text(
            0.5,
            0.5,
            "no ReLU in this net",
            transform=panel.transAxes,
            ha="center",
            fontsize=9,
            color=theme.muted,
        )
    style.title(panel, "dead units per layer", theme)


def _shades(count: int) -> list[Any]:
    from matplotlib import colormaps

    shades = colormaps[style.SURFACE]
    return [shades(0.1 + 0.75 * k / max(1, count - 1)) for k in range(count)]
