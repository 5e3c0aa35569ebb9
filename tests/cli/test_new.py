"""Starters pass their own tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import Run


@pytest.mark.parametrize("kind", ["task", "optimizer", "data"])
def test_a_starter_passes_its_own_test(kind: str, gdl: Run) -> None:
    made = gdl("new", kind, f"my-{kind}")
    assert made.code == 0
    assert "cd ." not in made.out
    assert Path(f"my_{kind}.yaml").is_file()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_my_{kind}.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    again = gdl("new", kind, f"my-{kind}")
    assert again.code == 2
    assert "exists already" in again.err
