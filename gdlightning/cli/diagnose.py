"""``gdl diagnose``: what is wrong with a training, in words."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gdlightning.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from gdlightning.diagnostics.run_record import Damage


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
        help="measure the Hessian of the last checkpoint first: saddles, sharp minima",
    )  # fmt: skip
    parser.add_argument("--png", help="draw what was measured to this file")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)

    from gdlightning.diagnostics.diagnose import as_json, as_text, diagnose, write
    from gdlightning.diagnostics.run_record import CURVATURE, RunRecord

    folder = run_folder(given.run)
    if given.curvature:
        _curvature(folder, folder / CURVATURE)
    record = RunRecord.read(folder)
    if record.empty:
        raise UserError(_nothing(folder, record.damage))
    if record.damage.count:
        print(f"Note: left out {record.damage}.", file=sys.stderr)
    verdicts = diagnose(record)
    if given.png:
        from gdlightning.diagnostics.verdict_figure import draw

        draw(record, verdicts, Path(given.png))
    write(verdicts, folder)
    if given.format == "json":
        print(as_json(verdicts))
        return 0
    print(f"{folder}: {len(record.losses):,} of {record.planned:,} steps\n")
    print(as_text(verdicts) or "Nothing is found so far; most findings need some 50 steps.")
    return 0


def _nothing(folder: Path, damage: Damage) -> str:
    if damage.count:
        return f"{folder}: nothing can be read: {damage}.\nResume or repeat the run."
    return (
        f"{folder} holds no measurements (instruments.jsonl).\n"
        "Train with the monitor on: leave monitor.every out, and profile: full."
    )


def _curvature(folder: Path, output: Path) -> None:
    """Run ``gdl curvature`` on a run, for its file alone."""
    from contextlib import redirect_stdout
    from io import StringIO

    from gdlightning.cli.curvature import main as curvature

    with redirect_stdout(StringIO()):
        curvature([str(folder), "--output", str(output), "--bottom", "1", "--top", "1"])


def run_folder(where: str) -> Path:
    """Return a run's folder by a path to it, to a file in it, or to the folder of its versions.

    Raises:
        UserError: there is none.
    """
    from gdlightning.config.expand_paths import expand
    from gdlightning.runs.run_folder import run_of, versions

    path = run_of(Path(expand(where, "The run")))
    if not path.is_dir():
        near = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"There is no run {path}.{did_you_mean(str(path), near)}")
    return next(iter(versions(path)), path)
