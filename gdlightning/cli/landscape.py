"""``gdl landscape``: the loss around a trained network, in 2D and interactive 3D."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gdlightning.errors import UserError, require

if TYPE_CHECKING:
    from gdlightning.landscape.surface import Surface

GROUP = "understand"
SUMMARY = "Draw the loss around a trained network, in 2D and interactive 3D"
USAGE = "gdl landscape RUN"

KINDS = ("random", "eigen", "path", "between")


def main(argv: list[str]) -> int:
    """Measure the losses around a checkpoint and draw them.

    Raises:
        UserError: there is no checkpoint or no data, or an option has an invalid value.
    """
    given = _parser().parse_args(argv)
    _check(given)
    require("matplotlib", "plots", "Drawing a landscape")
    from gdlightning.landscape.surface_files import log_figures, summary, write_figures
    from gdlightning.runs.run_surface import survey

    surface, folder, run = survey(given)
    stem = given.directions if given.dims == 2 else f"{given.directions}-1d"
    files = [folder / f"{stem}.json", *write_figures(surface, folder, stem)]
    if given.tensorboard:
        log_figures(surface, run, stem)
    if given.format == "json":
        print(json.dumps(summary(surface, files), indent=2))
    else:
        print(_text(surface, summary(surface, files)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("gdl landscape", description=f"{SUMMARY}.")
    add = parser.add_argument
    add("run", help="a run's folder, or a checkpoint")
    add(
        "--directions",
        choices=KINDS,
        default="random",
        help="random: filter-normalized; eigen: of the Hessian's largest eigenvalues; "
        "path: plane of the run's checkpoints; between: line to another checkpoint",
    )
    add("--to", help="the other checkpoint or run, for --directions between")
    add("--dims", type=int, choices=(1, 2), default=2, help="a line (1) or a plane (2)")
    add("--size", type=int, default=41, help="points along each axis")
    add(
        "--extent",
        type=float,
        help="from the centre to each side, in the axis's unit; for path and between: how far "
        "beyond the ends, as a share of their distance",
    )
    add("--split", choices=("train", "val", "both"), default="both")
    add("--batches", type=int, help="maximum number of batches per split (all)")
    add(
        "--batch-norm",
        choices=("keep", "recompute"),
        dest="batch_norm",
        help="running statistics of batch norms: the checkpoint's own, or recomputed at every "
        "point (default for between and path)",
    )
    add("--seed", type=int, default=0, help="seed of the random directions (0)")
    add("--device", default="cpu", help="device, e.g. cuda (cpu)")
    add("--output", help="a folder (RUN/landscape)")
    add(
        "--tensorboard",
        action="store_true",
        help="also log the figures to TensorBoard",
    )
    add("--format", choices=("text", "json"), default="text")
    return parser


def _check(given: argparse.Namespace) -> None:
    for key, least in {"size": 2, "batches": 1, "seed": 0}.items():
        value = getattr(given, key)
        if value is not None and value < least:
            raise UserError(f"--{key} is {value}; write {least} or more.")
    if given.extent is not None and not 0 < given.extent < float("inf"):
        raise UserError(f"--extent is {given.extent}; write a number above 0.")
    if (given.directions == "between") != bool(given.to):
        problem = "needs another checkpoint: --to CKPT" if not given.to else "takes no --to"
        raise UserError(f"--directions {given.directions} {problem}.")


def _text(surface: Surface, summary: dict[str, Any]) -> str:
    lines = [surface.title, ""]
    for split, loss in surface.centre.items():
        lowest = summary["lowest"][split]
        lines.append(f"  {split:<6} loss at the centre {loss:.6g}, lowest here {lowest:.6g}")
    lines += ["", *(f"  {axis.label}, in units of {axis.unit}" for axis in surface.axes)]
    lines += [f"  {key}: {value}" for key, value in surface.facts.items()]
    return "\n".join([*lines, "", "Written:", *(f"  {file}" for file in summary["files"])])
