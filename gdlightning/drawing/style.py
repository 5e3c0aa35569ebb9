"""Style of all figures, with colours for print and colour-blind readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdlightning.errors import UserError, require
from gdlightning.storage.atomic_write import open_atomic

SERIES = ("#2a78d6", "#e07b00", "#009e73", "#cc4f8f", "#7a5cc8", "#8a6d3b", "#3fb0c9", "#6b7280")
"""Colours of lines in order, after Okabe and Ito (2008) with equalised lightness."""
SURFACE = "viridis"
"""Colour map of a quantity over a plane."""
GOOD, FAIR, BAD = "#009e73", "#e07b00", "#d1495b"
FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Theme:
    """Colours of background, text and rules."""

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
    what: str = "Drawing a figure",
) -> tuple[Any, list[Any]]:
    """Create a figure and its panels in the style of the project.

    Args:
        lines: number of rows of panels.
        columns: number of columns of panels.
        size: size of a panel in inches.
        theme: colours.
        what: description of the task, for the error message if matplotlib is missing.

    Returns:
        The figure, and its panels row by row.

    Raises:
        UserError: if matplotlib is not installed.
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
    """Style a panel: no box, thin rules, muted tick labels."""
    panel.set_facecolor(theme.paper)
    panel.tick_params(which="both", labelsize=8.5, colors=theme.muted, length=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(theme.rule)
    panel.xaxis.label.set(color=theme.muted, fontsize=9)
    panel.yaxis.label.set(color=theme.muted, fontsize=9)


def title(panel: Any, text: str, theme: Theme = LIGHT) -> None:
    """Set a left-aligned title above a panel."""
    panel.set_title(text, loc="left", fontsize=10.5, color=theme.ink)


def legend(panel: Any, theme: Theme = LIGHT, **options: Any) -> None:
    """Add a legend without a box, if anything has a label."""
    if panel.get_legend_handles_labels()[0] or options:
        panel.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink, **options)


def save(made: Any, path: Path, dpi: int = 150) -> None:
    """Write a figure atomically; the suffix sets the format.

    Raises:
        UserError: if the suffix is not supported, the folder does not exist, or the disk is full.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"The file of a figure must end in {', '.join(FORMATS)} (got {path}).")
    if not path.absolute().parent.is_dir():
        raise UserError(f"The folder of {path} does not exist.")
    with open_atomic(path) as stream:
        made.savefig(stream, format=path.suffix[1:], dpi=dpi, facecolor=made.get_facecolor())
