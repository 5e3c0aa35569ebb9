"""A figure of a spectrum, with λ·lr and its limit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from gdlightning.curvature.density import Density
from gdlightning.drawing import style

CURVE_POINTS = 2000


def draw(record: dict[str, Any], density: Density, path: Path) -> None:
    """Draw the spectrum, and λ·lr with its limit.

    Raises:
        UserError: matplotlib is missing, or the file cannot be written.
    """
    stands = record["stability"]
    known = stands is not None and stands["limit"] is not None
    made, panels = style.figure(
        2 if known else 1, size=(8.4, 2.6 if known else 4.0), what="Drawing a spectrum"
    )
    _draw_spectrum(panels[0], record, density)
    if known:
        panels[0].get_gridspec().set_height_ratios([6, 1])
        _draw_standing(panels[1], record)
    style.save(made, path)


def _draw_spectrum(panel: Any, record: dict[str, Any], density: Density) -> None:
    ends = [m["value"] for m in record["top"] + record["bottom"]]
    low = min(*ends, float(density.nodes.min()), 0.0)
    high = max(*ends, float(density.nodes.max()), 0.0)
    width = max(high - low, 1e-12) / 250
    points = torch.linspace(low - 8 * width, high + 12 * width, CURVE_POINTS).double()
    counts = (density.counts(points, width) * width * math.sqrt(2 * math.pi)).numpy()
    grid = points.numpy()
    panel.fill_between(grid, counts, 1e-3, color=style.SERIES[0], alpha=0.15, linewidth=0)
    panel.plot(grid, counts, color=style.SERIES[0], linewidth=1.5, label="density")
    panel.vlines(ends, 1e-3, 1, color=style.SERIES[1], linewidth=1.2)
    panel.plot(
        ends,
        [1] * len(ends),
        "o",
        color=style.SERIES[1],
        markersize=4.5,
        label="largest and smallest",
    )
    panel.set(
        yscale="log",
        ylim=(0.05, 3 * float(counts.max())),
        xlim=(grid[0], grid[-1]),
        xlabel="eigenvalue",
        ylabel=f"eigenvalues within ± {1.25 * width:.2g}",
    )
    _draw_limit(panel, record["stability"], float(grid[-1]))
    name = f"{record['run']}, step {record['step']:,}"
    style.title(panel, f"Spectrum of the Hessian: {name}")
    style.legend(panel, loc="upper center")


def _draw_limit(panel: Any, stands: dict[str, Any] | None, right: float) -> None:
    """Draw where λ·lr reaches the limit, if λ is an eigenvalue of the Hessian itself."""
    if stands is None or stands["limit"] is None or stands["divided"] or not stands["lr"]:
        return
    at = stands["limit"] / stands["lr"]
    label = f"stable up to {at:.4g} = {stands['limit']:.4g} / lr"
    if at <= 3 * right:
        panel.axvline(at, color=style.BAD, linewidth=1.4, linestyle="--", label=label)
        panel.set_xlim(right=max(right, at * 1.05))
    else:  # far to the right
        panel.plot([], [], color=style.BAD, linewidth=1.4, linestyle="--", label=label)


def _draw_standing(panel: Any, record: dict[str, Any]) -> None:
    """Draw a scale from 0 to beyond the limit, with λ·lr now and at the peak."""
    stands, colour = record["stability"], style.SERIES[4]
    limit = stands["limit"]
    points = {f"at lr {stands['lr']:.3g}": (stands["product"], colour)}
    if stands["lr"] != stands["peak"]:
        points[f"at the peak, {stands['peak']:.3g}"] = (stands["at_peak"], style.LIGHT.paper)
    last = 1.25 * max(limit, *(m["value"] for m, _ in points.values()))
    panel.axvspan(0, limit, color=style.GOOD, alpha=0.12, linewidth=0)
    panel.axvspan(limit, last, color=style.BAD, alpha=0.12, linewidth=0)
    panel.axvline(limit, color=style.BAD, linewidth=1.4, linestyle="--")
    for height, (label, (measured, fill)) in zip((0.45, -0.45), points.items(), strict=False):
        value, error = measured["value"], measured["sampling"] or 0.0
        panel.errorbar(
            value,
            height,
            xerr=error,
            fmt="o",
            color=colour,
            markersize=7,
            capsize=3,
            markerfacecolor=fill,
            clip_on=False,
        )
        panel.annotate(
            label,
            (value + error, height),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=style.LIGHT.ink,
        )
    of = r", for λ of $P^{-1/2} H P^{-1/2}$" if stands["divided"] else ""
    panel.set(xlim=(0, last), ylim=(-1, 1), yticks=[], xlabel=f"λ·lr{of}")
    style.title(panel, f"{record['optimizer']} is stable up to {limit:.4g}")
