"""Short forms of the scripts that let things go wrong with any kind of training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent.parent.parent / "scripts" / "faults"
CASES = {
    "loaders": (
        "--only", "shuffle$|np.random.Generator|Dataset in workers|stateful|list of batches",
        "--optimizers", "adamw", "--stops", "step",
    ),
    "states": ("--only", "^(path|deep|record); module|^lock_holder; callback$|nested|BaseFinetun"),
    "scenarios": ("--count", "8", "--seed", "3"),
}  # fmt: skip


@pytest.mark.parametrize("script", CASES)
def test_nothing_is_lost(script: str) -> None:
    command = [sys.executable, str(FAULTS / f"{script}.py"), *CASES[script]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all |" in done.stdout
