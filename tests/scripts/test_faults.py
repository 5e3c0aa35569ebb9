"""Short forms of the scripts that inject faults into runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent.parent.parent / "scripts" / "faults"
CASES = {
    "loaders": (
        "loaders",
        "--optimizers",
        "adamw",
        "--stops",
        "twice",
        "--only",
        "shuffle$|np.random.Generator|Dataset in workers|stateful|persistent|subclass of Data",
    ),
    "limited loaders": (
        "loaders",
        "--optimizers",
        "sgd",
        "--stops",
        "limited",
        "--only",
        "gdlightning's data module|DataLoader, generator|without a length",
    ),
    "states": (
        "states",
        "--only",
        "^(deep|record); module|^lock_holder; callback$|nested|BaseFinetuning|logged on some"
        "|64-true|parameters seed, compile, profile; module|own torch.Generator",
    ),
    "scenarios": ("scenarios", "--count", "5", "--seed", "3"),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_lost(case: str) -> None:
    script, *flags = CASES[case]
    command = [sys.executable, str(FAULTS / f"{script}.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| all |" in done.stdout
