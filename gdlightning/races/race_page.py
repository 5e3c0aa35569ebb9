"""An HTML page that animates a race."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from gdlightning.drawing import page as html
from gdlightning.drawing.style import DARK, LIGHT, Theme
from gdlightning.landscape.surface_page import STYLE, embedded
from gdlightning.races.race import Track
from gdlightning.races.race_figure import FLOOR, NAMED, colours, ground
from gdlightning.races.test_functions import Function

OWN = """<style>
.course { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.course canvas { width: 100%; height: 430px; display: block; }
@media (max-width: 760px) { .course { grid-template-columns: 1fr; } }
.runners { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr));
  gap: .4rem; margin: .6rem 0; }
.runners button { font: inherit; text-align: left; color: var(--ink); background: none;
  border: 1px solid var(--rule); border-radius: 6px; padding: .3rem .7rem; cursor: pointer; }
.runners button[aria-pressed=false] { opacity: .4; }
.runners .dot { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%;
  margin-right: .45rem; }
.runners .state { display: block; color: var(--muted); font-size: .85rem;
  font-variant-numeric: tabular-nums; }
.bar input[type=range] { flex: 1; min-width: 10rem; accent-color: var(--accent); }
.bar .step { min-width: 9rem; font-variant-numeric: tabular-nums; }
</style>"""


def page(
    function: Function, tracks: Sequence[Track], left_out: Mapping[str, str], title: str, lead: str
) -> str:
    """Return the complete HTML page of a race.

    Args:
        function: test function.
        tracks: trajectories, best first; the first eight are animated, all are in the table.
        left_out: optimizers that could not be raced, with the reason.
        title: title of the page.
        lead: description in a sentence or two.
    """
    running = tracks[:NAMED]
    buttons = [
        f'<button type="button" data-track="{html.escape(track.optimizer)}" aria-pressed="true">'
        f'<span class="dot" style="background:{colour}"></span>{html.escape(_named(track))}'
        '<span class="state"></span></button>'
        for track, colour in zip(running, colours(running), strict=True)
    ]
    steps = max(len(track.points) for track in tracks) - 1
    stage = [
        '<div class="bar"><button type="button" id="race-play">Play</button>',
        '<input type="range" id="race-step" min="0" '
        f'max="{steps}" value="0" aria-label="optimizer step"><span class="step" id="race-now">'
        '</span><label>speed <select id="race-pace"><option value="0.3">slow</option>'
        '<option value="1" selected>normal</option><option value="3">fast</option></select></label>'
        "</div>",
        '<div class="course"><figure><canvas id="race-above" role="img" aria-label="paths on the '
        f'contours of {html.escape(function.title)}"></canvas><figcaption>Contours: bluer is '
        "lower, stars mark minima.</figcaption></figure>",
        '<figure><canvas id="race-curve" role="img" aria-label="value by step"></canvas>'
        "<figcaption>f − min f by step, log scale; a ring marks the step from which an optimizer "
        "stays near a minimum.</figcaption></figure></div>",
        f'<div class="runners">{"".join(buttons)}</div>',
        embedded("race-data", _content(function, running, steps)),
        html.script("gdlightning.races", "race.js"),
        "<h2>Steps to the minimum</h2>",
        html.table(HEADER, [row(function, track) for track in tracks]),
        html.paragraph(
            f"Converged: within {function.near:g} of a minimum from that step to the end."
        ),
    ]
    if left_out:
        stage += ["<h2>Excluded</h2>", html.table(("optimizer", "reason"), list(left_out.items()))]
    return html.page(title, *stage, lead=lead, head=STYLE + OWN)


HEADER = ("optimizer", "lr", "steps", "gradients", "f − min f", "distance")


def row(function: Function, track: Track) -> tuple[object, ...]:
    """Return the results of a track in the order of ``HEADER``; empty if there are none."""
    arrived = track.arrived
    return (
        track.optimizer,
        "" if track.lr is None else f"{track.lr:g}" + (" (tuned)" if track.tuned else ""),
        "diverged" if track.diverged else "not converged" if arrived is None else f"{arrived:,}",
        "" if arrived is None else f"{int(track.gradients[arrived]):,}",
        f"{float(track.values[-1]) - function.least:.3g}",
        f"{track.distance:.3g}",
    )


def _named(track: Track) -> str:
    return track.optimizer + ("" if track.lr is None else f", lr {track.lr:g}")


def _content(function: Function, tracks: Sequence[Track], steps: int) -> dict[str, Any]:
    values = [(t.values - function.least).clamp(min=FLOOR) for t in tracks]
    low = max(FLOOR, min(float(v.min()) for v in values))
    high = max(float(v.max()) for v in values)
    return {
        "steps": steps,
        "domain": function.domain,
        "start": function.start,
        "range": [low / 2, max(high, low * 10) * 2],
        "ground": {theme.name: _ground(function, theme) for theme in (LIGHT, DARK)},
        "tracks": [
            {
                "optimizer": track.optimizer,
                "colour": colour,
                "arrived": track.arrived,
                "diverged": track.diverged,
                "values": [_short(v) for v in value.tolist()],
                "points": [[_short(x), _short(y)] for x, y in track.points.tolist()],
            }
            for track, value, colour in zip(tracks, values, colours(tracks), strict=True)
        ],
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _ground(function: Function, theme: Theme) -> str:
    """Return the contours as an image for embedding."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(5.2, 4.2))
    panel = made.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_axis_off()
    ground(panel, function, theme)
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=200)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
