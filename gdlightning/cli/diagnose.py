"""``gdl diagnose``: problems of a run, and what to change."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gdlightning.errors import UserError

if TYPE_CHECKING:
    from gdlightning.diagnostics.run_record import Damage

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
        help="measure the Hessian of the last checkpoint first: saddles, sharp minima",
    )
    parser.add_argument("--png", help="draw the measurements to this file")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)

    from gdlightning.diagnostics.diagnose import as_json, as_text, diagnose, write
    from gdlightning.diagnostics.run_record import CURVATURE, RunRecord
    from gdlightning.runs.run_folder import find_run

    folder = find_run(given.run)
    if given.curvature:
        from gdlightning.runs.run_curvature import CurvatureOptions, measure_curvature
        from gdlightning.storage.atomic_write import write_json

        figures, _ = measure_curvature(str(folder), CurvatureOptions(top=1, bottom=1))
        write_json(folder / CURVATURE, figures)
    record = RunRecord.read(folder)
    if record.empty:
        raise UserError(_nothing(folder, record.damage))
    if record.damage.count:
        print(f"Note: ignored {record.damage}.", file=sys.stderr)
    verdicts = diagnose(record)
    if given.png:
        from gdlightning.diagnostics.verdict_figure import draw

        draw(record, verdicts, Path(given.png))
    write(verdicts, folder)
    if given.format == "json":
        print(as_json(verdicts))
        return 0
    print(f"{folder}: {len(record.losses):,} of {record.planned:,} steps\n")
    print(as_text(verdicts) or "No findings so far. Most checks need about 50 steps.")
    return 0


def _nothing(folder: Path, damage: Damage) -> str:
    if damage.count:
        return f"{folder} cannot be read: {damage}.\nResume or repeat the run."
    return (
        f"{folder} holds no measurements (instruments.jsonl).\n"
        "Train with the monitor on: remove monitor.every, and set profile: full."
    )
