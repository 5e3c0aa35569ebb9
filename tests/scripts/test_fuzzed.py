"""Damaged files of a run, a study or a landscape are an error or read as data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "faults" / "fuzzed.py"
KINDS = (
    "instruments",
    "curvature",
    "metrics",
    "events",
    "run's config",
    "run's other files",
    "run's checkpoint",
    "only checkpoint",
    "settings",
    "study",
    "landscape",
)


def test_every_verb_takes_spoilt_files() -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--files",
        "60",
        "--seed",
        "7",
        "--seconds",
        "180",
        "--kinds",
        ",".join(KINDS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert {row[0] for row in rows} == {*KINDS, "all"}
    files, refused, read, failed = map(int, rows[-1][1:5])
    assert (files, failed) == (60, 0)
    assert refused >= 5
    assert read >= 20
