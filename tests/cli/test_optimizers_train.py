"""Some optimizers with peculiar needs learn from the command line; the script tries all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "bench" / "families.py"


def test_each_lowers_its_loss() -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "adamw",
        "sam",
        "lbfgs",
        "muon",
        "schedule-free-adamw",
        "prodigy",
        "sophia",
        "--families",
        "tabular",
        "transformer",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("→") == 14, done.stdout
