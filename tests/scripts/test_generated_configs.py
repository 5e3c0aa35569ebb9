"""Valid and invalid random configs give a run or a clear error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "faults" / "configs.py"


def test_each_gives_a_run_or_a_clear_error() -> None:
    command = [sys.executable, str(SCRIPT), "--count", "200", "--processes", "1", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    rows = done.stdout.partition("of configs")[0].splitlines()
    counts = {kind: int(count) for kind, count in map(str.split, rows)}
    assert sum(counts.values()) == 200
    assert min(counts["run"], counts["error"]) >= 20
