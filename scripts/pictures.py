"""Generate the figures and pages of README and docs/landscape.md from new training runs.

Takes some minutes on two cores.

    python scripts/pictures.py
    python scripts/pictures.py --output docs
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from gdlightning.__main__ import main as gdl
from gdlightning.drawing import style
from gdlightning.drawing.style import DARK, LIGHT, Theme, save
from gdlightning.landscape.camera import Camera
from gdlightning.landscape.surface import Surface
from gdlightning.landscape.surface3d import draw, relief
from gdlightning.landscape.surface_figure import capital, contour, heading, shades_of, slices

CONFIG = str(Path(__file__).resolve().parent.parent / "configs" / "tabular.yaml")
QUIET = ("--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu")
TRAINED = (
    "--model.net.hidden",
    "[32,32,32,32]",
    "--model.net.activation",
    "tanh",
    "--model.net.dropout",
    "0",
    "--optimizer",
    "sgd",
    "--optimizer.lr",
    "0.2",
    "--schedule",
    "constant",
    "--clip",
    "none",
    "--trainer.max_epochs",
    "20",
)
"""No normalisation and a large learning rate, so that path and surface are curved."""
RACE = "gd,momentum,sgd,rmsprop,adam,lion,lbfgs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs"))
    output = parser.parse_args().output.resolve()
    pictures, pages = output / "pictures", output / "pages"
    pictures.mkdir(parents=True, exist_ok=True)
    pages.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        landscapes(pictures)
        run("paths", "rosenbrock", "--optimizers", RACE, "--steps", "1000", "--output", "race")
        for suffix in (".png", ".gif"):
            shutil.copy(f"race/rosenbrock{suffix}", pictures / f"race{suffix}")
        shutil.copy("race/rosenbrock.html", pages / "race.html")
        shutil.copy("seen/path.html", pages / "landscape.html")
        os.chdir(output)


def landscapes(output: Path) -> None:
    """Draw landscapes along the path, random directions, eigenvectors, and between two nets."""
    fit = ("fit", "--config", CONFIG, *QUIET, *TRAINED)
    run(*fit, "--name", "tanh", "--checkpoint.every_n_steps", "2", "--checkpoint.keep", "2000")
    run(*fit, "--name", "other", "--seed", "1")
    trained = "runs/tanh/version_0"
    path = measured(trained, "--directions", "path", "--size", "81", "--extent", "0.6")
    around = measured(trained, "--size", "61")
    between = measured(
        trained,
        "--directions",
        "between",
        "--dims",
        "1",
        "--size",
        "101",
        "--to",
        "runs/other/version_0",
    )
    curved = measured(trained, "--directions", "eigen", "--size", "61")
    for theme, mark in ((LIGHT, ""), (DARK, "-dark")):
        save(banner(path, theme), output / f"landscape{mark}.png", dpi=140)
        save(relief(around, theme), output / f"landscape-random{mark}.png", dpi=110)
        save(relief(curved, theme), output / f"landscape-eigen{mark}.png", dpi=110)
        save(slices(between, theme), output / f"landscape-between{mark}.png", dpi=110)


def banner(surface: Surface, theme: Theme) -> Any:
    """Draw the training loss in three dimensions and as contours."""
    shades = shades_of(surface)["train"]
    layer = surface.layers()["train"].numpy()
    made, (side, above) = style.figure(1, 2, size=(6.3, 4.8), theme=theme)
    draw(side, surface, layer, shades, theme, Camera())
    style.title(side, capital(shades.label), theme)
    contour(above, surface, layer, shades, theme)
    style.title(above, "Training loss from above", theme)
    style.legend(above, DARK, loc="upper right", handletextpad=0.3)
    heading(made, "Training loss of a network with the path of SGD", theme)
    return made


def measured(*flags: str) -> Surface:
    """Measure a surface with ``gdl landscape``."""
    run("landscape", *flags, "--output", "seen")
    newest = max(Path("seen").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    return Surface.read(newest)


def run(*arguments: str) -> None:
    """Run a ``gdl`` command that must succeed."""
    if gdl(list(arguments)):
        raise SystemExit(f"gdl {' '.join(arguments)} failed")


if __name__ == "__main__":
    main()
