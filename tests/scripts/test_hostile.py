"""Malicious and damaged files are an error or read as data; no code in them runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "faults" / "hostile.py"


def test_every_loader_keeps_its_promise() -> None:
    command = [sys.executable, str(SCRIPT), "--inputs", "40", "--seed", "11"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    cells = [c.strip() for c in done.stdout.strip().splitlines()[-1].split("|")]
    assert cells[1:3] == ["all", "40"]
    assert int(cells[3]) >= 20
    assert cells[5] == "0"
