"""The look of every figure: colours that print and that the colour-blind can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdlightning.errors import UserError, require
from gdlightning.storage.write import whole

SERIES = ("#2a78d6", "#e07b00", "#009e73", "#cc4f8f", "#7a5cc8", "#8a6d3b", "#3fb0c9", "#6b7280")
"""Colours of lines, in their order; after Okabe and Ito (2008), evened in lightness."""
SURFACE = "viridis"
"""Colour map of a quantity over a plane."""
GOOD, FAIR, BAD = "#009e73", "#e07b00", "#d1495b"
FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Theme:
    """Colours of paper and ink."""

    name: str
    paper: str
    ink: str
    muted: str
    rule: str


LIGHT = Theme("light", "#ffffff", "#1f2328", "#666d75", "#c9ced4")
DARK = Theme("dark", "#14171c", "#e6e8eb", "#9aa3ad", "#3b424b")


def figure(
    lines: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float] = (6.0, 3.8),
    theme: Theme = LIGHT,
    what: str = "Drawing a picture",
) -> tuple[Any, list[Any]]:
    """A figure and its panels, line by line, in the project's style.

    Args:
        lines: of panels.
        columns: of panels.
        size: of one panel, in inches.
        theme: of colours.
        what: is being done, for the message where matplotlib is missing.

    Raises:
        UserError: matplotlib is not installed.
    """
    require("matplotlib", "plots", what)
    from matplotlib.figure import Figure

    made = Figure(figsize=(size[0] * columns, size[1] * lines), layout="constrained")
    made.set_facecolor(theme.paper)
    panels = list(made.subplots(lines, columns, squeeze=False).flat)
    for panel in panels:
        plain(panel, theme)
    return made, panels


def plain(panel: Any, theme: Theme = LIGHT) -> None:
    """Axes without a box: two thin rules, muted ticks, a title at the left."""
    panel.set_facecolor(theme.paper)
    panel.tick_params(which="both", labelsize=8.5, colors=theme.muted, length=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(theme.rule)
    panel.xaxis.label.set(color=theme.muted, fontsize=9)
    panel.yaxis.label.set(color=theme.muted, fontsize=9)


def title(panel: Any, text: str, theme: Theme = LIGHT) -> None:
    """Say above a panel what is seen in it."""
    panel.set_title(text, loc="left", fontsize=10.5, color=theme.ink)


def legend(panel: Any, theme: Theme = LIGHT, **options: Any) -> None:
    """Add a legend without a box, if anything has a label."""
    if panel.get_legend_handles_labels()[0] or options:
        panel.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink, **options)


def save(made: Any, path: Path, dpi: int = 150) -> None:
    """Write a figure whole or not at all; the format is the path's ending.

    Raises:
        UserError: the ending is not a picture's, there is no such folder, or the disk is full.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: a picture ends in {', '.join(FORMATS)}.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no such folder.")
    with whole(path) as stream:
        made.savefig(stream, format=path.suffix[1:], dpi=dpi, facecolor=made.get_facecolor())
