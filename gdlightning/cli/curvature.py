"""``gdl curvature``: the spectrum of a run's Hessian, and how near its optimizer is to unstable."""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

from gdlightning.cli.checkpoint_option import add_option
from gdlightning.errors import UserError, require

DENSITY_PROBES = 4
"""Random vectors for a picture at most; each takes --steps products."""


def main(argv: list[str]) -> int:
    """Measure, print, and write what was asked for.

    Raises:
        UserError: the run can't be used, or a number or file can't be meant.
    """
    parser = argparse.ArgumentParser("gdl curvature", description=__doc__.strip("`"))
    parser.add_argument("run", help="a run folder, or a checkpoint")
    add_option(parser)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--batches", type=int, default=8, help="of the split, at most; 8")
    parser.add_argument("--top", type=int, default=5, help="largest eigenvalues; 5")
    parser.add_argument("--bottom", type=int, default=2, help="smallest eigenvalues; 2")
    parser.add_argument("--steps", type=int, default=40, help="of Lanczos' method, at most; 40")
    parser.add_argument("--probes", type=int, default=10, help="random vectors for the trace; 10")
    parser.add_argument("--seed", type=int, default=0, help="of batches and random vectors; 0")
    parser.add_argument("--precision", type=int, choices=(32, 64), default=32, help="bits; 32")
    parser.add_argument("--png", help="draw the whole spectrum to this file; takes longer")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--output", help="write all figures to this .json file")
    given = parser.parse_args(argv)
    _check(given)
    record, density = _measure(given)
    if given.output:
        from gdlightning.storage.atomic_write import write_json

        write_json(Path(given.output), record)
    if given.png:
        from gdlightning.cli.curvature_plot import draw

        draw(record, density, Path(given.png))
    if given.format == "json":
        print(json.dumps(record, indent=2))
    else:
        from gdlightning.cli.curvature_text import as_text

        print(as_text(record))
    for path in (given.output, given.png):
        if path and given.format == "text":
            print(f"Wrote {path}")
    return 0


def _check(given: argparse.Namespace) -> None:
    """Refuse what can't be meant, before anything is read.

    Raises:
        UserError: with the option and what to write instead.
    """
    least = {"batches": 1, "top": 1, "bottom": 0, "steps": 2, "probes": 2, "seed": 0}
    for key, low in least.items():
        value = getattr(given, key)
        if not low <= value < 2**31:
            raise UserError(f"--{key} is {value}; write {low} or more.")
    if given.top + given.bottom > given.steps:
        raise UserError(
            f"--steps {given.steps} finds no {given.top + given.bottom} eigenvalues "
            "(--top and --bottom); write several times as many."
        )
    if given.png:
        require("matplotlib", "plots", "Drawing a spectrum")
    for key, endings in {"png": (".png", ".svg", ".pdf"), "output": (".json",)}.items():
        path = Path(getattr(given, key) or f"x{endings[0]}")
        if path.suffix not in endings:
            raise UserError(f"--{key} {path}: write a file that ends in {', '.join(endings)}.")
        if not path.absolute().parent.is_dir():
            raise UserError(f"--{key} {path}: there is no such folder.")


def _measure(given: argparse.Namespace) -> tuple[dict[str, Any], Any]:
    """All figures as plain values, and what a picture needs besides."""
    from tqdm import tqdm

    from gdlightning.cli.curvature_text import as_record
    from gdlightning.curvature.curvature_report import examine
    from gdlightning.curvature.density import density
    from gdlightning.curvature.stability_margin import standing
    from gdlightning.runs.quiet import quiet
    from gdlightning.runs.run_hessian import made_anew, optimizers_of, subject

    quiet()
    found = subject(
        given.run,
        given.split,
        given.batches,
        seed=given.seed,
        wide=given.precision == 64,
        which=given.checkpoint,
    )
    options: dict[str, Any] = {"steps": given.steps, "seed": given.seed, "seen": found.seen}
    probes = min(given.probes, DENSITY_PROBES) if given.png else 0
    most = given.top + given.bottom + given.probes + 2 + (3 + probes) * given.steps
    with tqdm(total=most, desc="Hessian products", leave=False, dynamic_ncols=True) as bar:
        hessian = found.hessian
        hessian.on_product = bar.update
        report = examine(
            hessian, top=given.top, bottom=given.bottom, probes=given.probes, **options
        )
        stands = None
        if given.split == "train" and (optimizers := optimizers_of(found)):
            make = functools.partial(made_anew, found)
            stands = standing(hessian, optimizers, make, top=report.top[0], **options)
        whole = density(hessian, probes, given.steps, seed=given.seed) if probes else None
    return as_record(found, report, stands, vars(given)), whole
