"""``gdl curvature``: the spectrum of a run's Hessian, and its optimizer's stability limit."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gdlightning.cli.parsing.checkpoint_option import add_option
from gdlightning.errors import UserError, require

GROUP = "understand"
SUMMARY = "Measure the spectrum of a run's Hessian and its stability limit"
USAGE = "gdl curvature RUN"

MAX_DENSITY_PROBES = 4
"""Random vectors for the spectral density; each takes --steps Hessian products."""


def main(argv: list[str]) -> int:
    """Measure the curvature of a run, print it, and write the files that are asked for.

    Raises:
        UserError: the run cannot be used, or an option has an invalid value.
    """
    parser = argparse.ArgumentParser("gdl curvature", description=f"{SUMMARY}.")
    parser.add_argument("run", help="a run folder, or a checkpoint")
    add_option(parser)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--batches", type=int, default=8, help="maximum number of batches (8)")
    parser.add_argument("--top", type=int, default=5, help="number of largest eigenvalues (5)")
    parser.add_argument("--bottom", type=int, default=2, help="number of smallest eigenvalues (2)")
    parser.add_argument("--steps", type=int, default=40, help="maximum of Lanczos steps (40)")
    parser.add_argument("--probes", type=int, default=10, help="random vectors for the trace (10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of batches and vectors (0)")
    parser.add_argument("--precision", type=int, choices=(32, 64), default=32, help="bits (32)")
    parser.add_argument("--png", help="draw the spectral density to this file; takes longer")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--output", help="write all figures to this .json file")
    given = parser.parse_args(argv)
    _check(given)
    from gdlightning.runs.run_curvature import CurvatureOptions, measure_curvature

    fields = (
        "split",
        "batches",
        "top",
        "bottom",
        "steps",
        "probes",
        "seed",
        "precision",
        "checkpoint",
    )
    options = {name: getattr(given, name) for name in fields}
    if given.png:
        options["density_probes"] = min(given.probes, MAX_DENSITY_PROBES)
    record, density = measure_curvature(given.run, CurvatureOptions(**options))
    if given.output:
        from gdlightning.storage.atomic_write import write_json

        write_json(Path(given.output), record)
    if density is not None:
        from gdlightning.cli.printing.curvature_plot import draw

        draw(record, density, Path(given.png))
    if given.format == "json":
        print(json.dumps(record, indent=2))
    else:
        from gdlightning.cli.printing.curvature_text import as_text

        print(as_text(record))
    for path in (given.output, given.png):
        if path and given.format == "text":
            print(f"Wrote {path}")
    return 0


def _check(given: argparse.Namespace) -> None:
    """Check all options before anything is read.

    Raises:
        UserError: an option has an invalid value.
    """
    least = {"batches": 1, "top": 1, "bottom": 0, "steps": 2, "probes": 2, "seed": 0}
    for key, low in least.items():
        value = getattr(given, key)
        if not low <= value < 2**31:
            raise UserError(f"--{key} is {value}; write {low} or more.")
    if given.top + given.bottom > given.steps:
        raise UserError(
            f"--steps {given.steps} is too few for {given.top + given.bottom} eigenvalues "
            "(--top and --bottom); write several times as many."
        )
    if given.png:
        require("matplotlib", "plots", "Drawing a spectrum")
    for key, endings in {"png": (".png", ".svg", ".pdf"), "output": (".json",)}.items():
        path = Path(getattr(given, key) or f"x{endings[0]}")
        if path.suffix not in endings:
            raise UserError(f"--{key} {path}: write a file that ends in {', '.join(endings)}.")
        if not path.absolute().parent.is_dir():
            raise UserError(f"--{key} {path}: the folder does not exist.")
