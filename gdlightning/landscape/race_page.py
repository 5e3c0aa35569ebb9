"""A page on which a race runs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from gdlightning.drawing import page as html
from gdlightning.drawing.style import DARK, LIGHT, Theme
from gdlightning.landscape.functions import Function
from gdlightning.landscape.race import Track
from gdlightning.landscape.race_picture import FLOOR, NAMED, colours, ground
from gdlightning.landscape.surface_page import STYLE, embedded, script

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
.bar .told { min-width: 9rem; font-variant-numeric: tabular-nums; }
</style>"""


def page(
    function: Function, tracks: Sequence[Track], left_out: Mapping[str, str], title: str, lead: str
) -> str:
    """The page of a race, whole in one text.

    Args:
        function: that was raced on.
        tracks: best first; the first eight run, all are in the table.
        left_out: optimizers that could not be raced, and why.
        title: of the page.
        lead: what is seen, in a sentence or two.
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
        f'max="{steps}" value="0" aria-label="optimizer step"><span class="told" id="race-told">'
        '</span><label>pace <select id="race-pace"><option value="0.3">slow</option>'
        '<option value="1" selected>usual</option><option value="3">fast</option></select></label>'
        "</div>",
        '<div class="course"><figure><canvas id="race-above" role="img" aria-label="paths on the '
        f'contours of {html.escape(function.title)}"></canvas><figcaption>From above: the bluer, '
        "the lower; stars are minima.</figcaption></figure>",
        '<figure><canvas id="race-curve" role="img" aria-label="value by step"></canvas>'
        "<figcaption>f − least f by step, on a logarithmic scale; a ring marks the step from which "
        "on it stayed at a minimum.</figcaption></figure></div>",
        f'<div class="runners">{"".join(buttons)}</div>',
        embedded("race-data", _content(function, running, steps)),
        script("race.js"),
        "<h2>Steps to the minimum</h2>",
        html.table(HEADER, [row(function, track) for track in tracks]),
        html.paragraph(f"There: within {function.near:g} of a minimum from that step to the end."),
    ]
    if left_out:
        stage += ["<h2>Left out</h2>", html.table(("optimizer", "why"), list(left_out.items()))]
    return html.page(title, *stage, lead=lead, head=STYLE + OWN)


HEADER = ("optimizer", "lr", "steps", "gradients", "f − least f", "distance")


def row(function: Function, track: Track) -> tuple[object, ...]:
    """What came of a track, in the order of ``HEADER``; empty where there is nothing to say."""
    there = track.arrived
    return (
        track.optimizer,
        "" if track.lr is None else f"{track.lr:g}" + (" (tuned)" if track.tuned else ""),
        "diverged" if track.diverged else "not there" if there is None else f"{there:,}",
        "" if there is None else f"{int(track.gradients[there]):,}",
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
    """The contours as an image within a page."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(5.2, 4.2))
    panel = made.add_axes((0.0, 0.0, 1.0, 1.0))
    panel.set_axis_off()
    ground(panel, function, theme)
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=200)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
