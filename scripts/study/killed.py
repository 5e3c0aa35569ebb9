"""Kill a comparison ten times, resume it, and compare it with an uninterrupted one.

The process is killed with SIGKILL each time the journal has grown by a random number of bytes, and
the same command is started again. Prints whether all trials are equal except for their times.

    python scripts/study/killed.py            # 10 kills
    python scripts/study/killed.py --quick    # 3 kills
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--config",
    "configs/tabular.yaml",
    "--optimizers",
    "adamw,sgd,schedule-free-adamw",
    "--trials",
    "6",
    "--steps",
    "200",
    "--trainer.accelerator",
    "cpu",
)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the comparison in a new process."""
    return subprocess.Popen(
        [sys.executable, "-m", "gdlightning", "compare", *FLAGS, "--output", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def results(folder: Path) -> list[Any]:
    """Return all trials without their times."""
    record = json.loads((folder / "report.json").read_text())
    assert record["done"]
    timed = ("seconds", "curve")
    return [{k: v for k, v in t.items() if k not in timed} for t in record["trials"]]


def killed(folder: Path, kills: int, seed: int) -> int:
    """Run to completion with kills, and return their number."""
    chance, struck = random.Random(seed), 0
    journal = folder / "journal.log"
    while struck < kills:
        process = start(folder)
        before = journal.stat().st_size if journal.exists() else 0
        limit = before + chance.randint(200, 12_000)
        while process.poll() is None and (not journal.exists() or journal.stat().st_size < limit):
            time.sleep(0.002)
        if process.poll() is not None:
            return struck
        process.send_signal(signal.SIGKILL)
        process.wait()
        struck += 1
    start(folder).wait()
    return struck


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        whole, broken = Path(name) / "whole", Path(name) / "broken"
        start(whole).wait()
        struck = killed(broken, 3 if given.quick else given.kills, given.seed)
        lines = (broken / "journal.log").read_text().splitlines()
        told = sum('"op_code":6' in line and '"state":1' in line for line in lines)
        same = results(whole) == results(broken)
        print(f"{struck} kills; {len(results(whole))} trials, {told} completed; equal: {same}")
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
