"""An HTML page with an interactive surface, its figures, and the settings of the measurement."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from gdlightning.drawing import page as html
from gdlightning.landscape.colormap import Shades, palette
from gdlightning.landscape.heights import finer, heights
from gdlightning.landscape.surface import Surface
from gdlightning.landscape.surface3d import open_view
from gdlightning.landscape.surface_figure import Grid, capital, contours, shades_of, slices

FACETS = 80
"""Minimum number of facets along each side."""
STYLE = """<style>
.stage { position: relative; border: 1px solid var(--rule); border-radius: 8px; }
.stage canvas { display: block; width: 100%; height: min(72vh, 620px); touch-action: none;
  cursor: grab; } .stage canvas:active { cursor: grabbing; }
.stage canvas:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.bar { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; margin: .8rem 0;
  font-size: .92rem; color: var(--muted); }
.bar button { font: inherit; color: var(--ink); background: var(--panel); padding: .25rem .7rem;
  border: 1px solid var(--rule); border-radius: 6px; cursor: pointer; }
.bar button[aria-pressed=true] { border-color: var(--accent); color: var(--accent); }
.bar label { display: inline-flex; gap: .35rem; align-items: center; }
.bar .readout { margin-left: auto; font-variant-numeric: tabular-nums; }
</style>"""


def page(surface: Surface) -> str:
    """Return the complete HTML page of a surface.

    Args:
        surface: surface of one or two axes.
    """
    if len(surface.axes) == 1:
        drawn = html.picture(lambda theme: slices(surface, theme), surface.title)
        return html.page(surface.title, drawn, *_measured(surface))
    hint = "Drag to rotate and scroll to zoom, or use the arrow keys and + −."
    stage = [
        '<div class="bar">',
        *_buttons(surface),
        "</div>",
        '<div class="stage"><canvas id="surface" tabindex="0" role="img" '
        f'aria-label="{html.escape(surface.title)}, interactive surface"></canvas></div>',
        '<div class="bar">',
        *_switches(surface),
        f'<span class="readout" id="surface-readout" data-hint="{hint}">{hint}</span></div>',
        embedded("surface-data", _content(surface)),
        html.script("gdlightning.landscape", "surface.js"),
    ]
    flat = html.picture(
        lambda theme: contours(surface, theme, columns=2),
        f"{surface.title}: contours",
        "Contours of the same losses. The path is projected onto the plane.",
    )
    return html.page(surface.title, *stage, flat, *_measured(surface), head=STYLE)


def embedded(name: str, content: Any) -> str:
    """Return data as a script element, for the script of the page."""
    text = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _buttons(surface: Surface) -> list[str]:
    shown = shades_of(surface)
    if len(shown) == 1:
        return [html.escape(capital(next(iter(shown.values())).name))]
    return [
        f'<button type="button" data-layer="{split}">{html.escape(capital(shades.name))}</button>'
        for split, shades in shown.items()
    ]


def _switches(surface: Surface) -> list[str]:
    names = {"log": "log scale", "mesh": "mesh", "path": "path", "turning": "rotate"}
    if len(surface.marks) < 3:
        del names["path"]
    boxes = [
        f'<label><input type="checkbox" data-switch="{key}"'
        f"{' checked' if key in ('mesh', 'path') else ''}>{name}</label>"
        for key, name in names.items()
    ]
    return [*boxes, '<button type="button" id="surface-reset">Reset view</button>']


def _content(surface: Surface) -> dict[str, Any]:
    layers = surface.layers()
    finest = {
        split: _smooth(layers[split].numpy(), shades)
        for split, shades in shades_of(surface, whole=True).items()
    }
    shape = next(iter(finest.values()))["shape"]
    own = [
        {"point": _share(surface, mark.point), "name": mark.name, "last": False}
        for k, mark in enumerate(surface.marks)
        if mark.name or k == 0
    ]
    centre = {"point": _share(surface, (0.0, 0.0)), "name": "", "last": True}
    path = [mark.point for mark in surface.marks] if len(surface.marks) > 2 else []
    return {
        "shape": shape,
        "yaw": open_view(surface, shades_of(surface, whole=True)).yaw,
        "mesh": max(1, (shape[0] - 1) // 20),
        "axes": [
            {
                "short": a.label.split(" of the path")[0],
                "unit": a.unit,
                "low": a.values[0],
                "high": a.values[-1],
            }
            for a in surface.axes
        ],
        "layers": finest,
        "marks": [*own, centre],
        "path": _dense([_share(surface, p) for p in path]),
    }


def _smooth(layer: Grid, shades: Shades) -> dict[str, Any]:
    """Return a layer for the page, interpolated on the displayed scale."""
    high = finer(heights(layer, shades), FACETS)
    if shades.log:
        losses = shades.low * (shades.high / shades.low) ** high
    else:
        losses = shades.low + (shades.high - shades.low) * high
    return {
        "name": shades.name,
        "low": shades.low,
        "high": shades.high,
        "log": shades.log,
        "palette": palette(shades.cmap),
        "shape": list(high.shape),
        "losses": [float(f"{v:.5g}") if math.isfinite(v) else None for v in losses.flat],
    }


def _share(surface: Surface, point: tuple[float, ...]) -> list[float]:
    """Return a point of the plane as coordinates from 0 to 1."""
    return [
        (value - axis.values[0]) / (axis.values[-1] - axis.values[0])
        for value, axis in zip(point, surface.axes, strict=True)
    ]


def _dense(points: list[list[float]]) -> list[list[float]]:
    """Return a path with steps small enough to follow the surface."""
    found = points[:1]
    for a, b in pairwise(points):
        count = max(1, math.ceil(math.dist(a, b) * FACETS))
        found += [[float(f"{v:.5g}") for v in row] for row in np.linspace(a, b, count + 1)[1:]]
    return found


def _measured(surface: Surface) -> list[str]:
    rows: list[tuple[str, object]] = [
        (f"{split} loss at the centre", f"{loss:.6g}") for split, loss in surface.centre.items()
    ]
    rows += [
        (f"axis {k + 1}", f"{a.label}; unit: {a.unit}; {len(a.values)} points")
        for k, a in enumerate(surface.axes)
    ]
    rows += [(key.replace("_", " "), _plain(value)) for key, value in surface.facts.items()]
    return ["<h2>Measurement</h2>", html.table(("setting", "value"), rows)]


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v:,}" for k, v in value.items())
    return f"{value:,}" if isinstance(value, int) else value
