"""``gdl diagnose``: problems of a run, and what to change."""

from __future__ import annotations

import argparse
from pathlib import Path

from gdlightning.cli.parsing.checkpoint_option import add_option
from gdlightning.errors import UserError

GROUP = "understand"
SUMMARY = "Diagnose a run and print what to change"
USAGE = "gdl diagnose RUN [--png FILE]"


def main(argv: list[str]) -> int:
    """Print the verdicts of a run, which may still be in progress.

    Raises:
        UserError: the run does not exist, or has no measurements.
    """
    parser = argparse.ArgumentParser("gdl diagnose", description=f"{SUMMARY}.")
    parser.add_argument("run", help="a run folder; the run may still be in progress")
    parser.add_argument(
        "--curvature",
        action="store_true",
        help="measure the Hessian of a checkpoint first: saddles, sharp minima",
    )
    add_option(parser, "weights for --curvature")
    parser.add_argument("--png", help="draw the measurements to this file")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)

    from gdlightning.diagnostics.diagnose import as_json, as_text, write
    from gdlightning.diagnostics.run_record import CURVATURE
    from gdlightning.runs.diagnose_run import diagnose_run, nothing_found
    from gdlightning.runs.run_folder import find_run

    if given.curvature:
        from gdlightning.runs.run_curvature import CurvatureOptions, measure_curvature
        from gdlightning.storage.atomic_write import write_json

        folder = find_run(given.run)
        options = CurvatureOptions(top=1, bottom=1, checkpoint=given.checkpoint)
        figures, _ = measure_curvature(str(folder), options)
        write_json(folder / CURVATURE, figures)
    elif given.checkpoint is not None:
        raise UserError("--checkpoint is for --curvature: add that, or leave --checkpoint out.")
    found = diagnose_run(given.run)
    if given.png:
        from gdlightning.diagnostics.verdict_figure import draw

        draw(found.record, found.verdicts, Path(given.png))
    write(found.verdicts, found.folder)
    if given.format == "json":
        print(as_json(found.verdicts))
        return 0
    print(f"{found.folder}: {len(found.record.losses):,} of {found.record.planned:,} steps\n")
    print(as_text(found.verdicts) or nothing_found(found.record))
    return 0
