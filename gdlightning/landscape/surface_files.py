"""The files that a measured surface is drawn to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gdlightning.drawing.style import save
from gdlightning.landscape.surface import Surface
from gdlightning.landscape.surface3d import relief
from gdlightning.landscape.surface_figure import contours, slices
from gdlightning.landscape.surface_page import page
from gdlightning.storage.atomic_write import write_text


def write_figures(surface: Surface, folder: Path, stem: str) -> list[Path]:
    """Write the figures and the page into ``folder``; return their paths."""
    files = []
    for kind, draw in _figures(surface).items():
        made = draw(surface)
        for suffix in (".png", ".svg"):
            files.append(folder / f"{stem}-{kind}{suffix}")
            save(made, files[-1])
    files.append(folder / f"{stem}.html")
    write_text(files[-1], page(surface))
    return files


def _figures(surface: Surface) -> dict[str, Any]:
    """Return a drawing function per kind of figure."""
    return {"slice": slices} if len(surface.axes) == 1 else {"contour": contours, "surface": relief}


def log_figures(surface: Surface, run: Path, stem: str) -> None:
    """Log the figures to the run's TensorBoard logs."""
    from torch.utils.tensorboard import SummaryWriter  # optional

    with SummaryWriter(str(run)) as board:
        for kind, draw in _figures(surface).items():
            step = surface.facts["step"]
            board.add_figure(f"landscape/{stem}-{kind}", draw(surface), step)


def summary(surface: Surface, files: list[Path]) -> dict[str, Any]:
    """Return title, losses, axes and files of a surface as plain values."""
    layers = surface.layers()
    return {
        "title": surface.title,
        "centre": dict(surface.centre),
        "lowest": {k: float(v.nan_to_num(float("inf")).min()) for k, v in layers.items()},
        "axes": [
            {
                "label": a.label,
                "unit": a.unit,
                "low": a.values[0],
                "high": a.values[-1],
                "points": len(a.values),
            }
            for a in surface.axes
        ],
        **surface.facts,
        "files": [str(f) for f in files],
    }
