"""``gdl diagnose``: what is wrong with a training, in words."""

from __future__ import annotations

import argparse
from pathlib import Path

from gdlightning.cli.checkpoint_option import add_option
from gdlightning.errors import UserError


def main(argv: list[str]) -> int:
    """Print the verdicts of a run; it may be running still.

    Raises:
        UserError: there is no such run, or nothing was measured.
    """
    parser = argparse.ArgumentParser(
        "gdl diagnose", description="What is wrong with a training, and what to change."
    )
    parser.add_argument("run", help="a run folder; it may be running still")
    parser.add_argument(
        "--curvature", action="store_true",
        help="measure the Hessian of a checkpoint first: saddles, sharp minima",
    )  # fmt: skip
    add_option(parser, "weights for --curvature")
    parser.add_argument("--png", help="draw what was measured to this file")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)

    from gdlightning.diagnostics.diagnose import as_json, as_text, write
    from gdlightning.diagnostics.run_record import CURVATURE
    from gdlightning.runs.diagnose_run import diagnose_run, nothing_found, run_folder

    if given.curvature:
        folder = run_folder(given.run)
        _curvature(folder, folder / CURVATURE, given.checkpoint)
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


def _curvature(folder: Path, output: Path, which: str | None) -> None:
    """Run ``gdl curvature`` on a run, for its file alone."""
    from contextlib import redirect_stdout
    from io import StringIO

    from gdlightning.cli.curvature import main as curvature

    with redirect_stdout(StringIO()):
        checkpoint = [] if which is None else ["--checkpoint", which]
        curvature(
            [str(folder), "--output", str(output), "--bottom", "1", "--top", "1", *checkpoint]
        )
