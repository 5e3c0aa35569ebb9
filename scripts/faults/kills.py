"""Kill runs at random times, resume them, and compare them with uninterrupted runs.

Each case is trained once without interruption. Then, repeatedly, it is started, killed with SIGKILL
after a random time (sometimes several times), and restarted with the same command and
``--resume auto`` until it completes. Every tensor of its last checkpoint, its metrics and its logs
must be equal. Prints a Markdown table; the exit code is 1 if anything differs.

    python scripts/faults/kills.py --kills 200 --seed 0
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from trainings import CASES, Case, difference, prepare, start, whole


@dataclass
class Tally:
    """Results of the kills of a case."""

    kills: int = 0
    at_start: int = 0
    equal: int = 0
    runs: int = 0
    failures: list[str] = field(default_factory=list)


def killed(case: Case, folder: Path, instants: list[float], tally: Tally) -> str:
    """Train with a kill at each instant (seconds after the run folder is held), then to the end."""
    for instant in instants:
        process = start(case, folder, folder / "log")
        run = folder / "runs/run/version_0"
        size = (folder / "log").stat().st_size
        while process.poll() is None and not _under_way(run, folder / "log", size):
            time.sleep(0.005)
        time.sleep(instant)
        if process.poll() is not None:  # the run completed first
            return "" if process.returncode == 0 else f"exit code {process.returncode}"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tally.kills += 1
        if (run / "metrics.json").exists():  # killed after the run completed
            return ""
        tally.at_start += not list(run.glob("checkpoints/*.ckpt"))
    process = start(case, folder, folder / "log")
    code = process.wait()
    return "" if code == 0 else f"exit code {code}: {(folder / 'log').read_text()[-1500:]}"


def _under_way(run: Path, log: Path, before: int) -> bool:
    """Return whether the started process holds its run folder."""
    resumed = b"Resuming " in log.read_bytes()[before:]
    return resumed or (before == 0 and (run / "config.yaml").exists())


def one_case(case: Case, kills: int, seed: int, root: Path) -> Tally:
    """Run all kills of a case."""
    chance = random.Random(f"{seed} {case.name}")
    twin = prepare(root / f"twin-{CASES.index(case)}")
    until, total = whole(case, twin)
    tally = Tally()
    while tally.kills < kills:
        folder = prepare(root / f"{CASES.index(case)}-{tally.runs}")
        count = 1 if chance.random() < 0.7 else 2
        instants = [chance.uniform(0, 0.9 * (total - until)) for _ in range(count)]
        instants = instants[: max(1, kills - tally.kills)]
        problem = killed(case, folder, instants, tally)
        problem = problem or difference(twin / "runs/run/version_0", folder / "runs/run/version_0")
        tally.runs += 1
        if problem:
            tally.failures.append(f"{folder}: {[round(i, 2) for i in instants]}: {problem}")
        else:
            tally.equal += 1
            for path in sorted(folder.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
        print(f"  {case.name}: {tally.kills}/{kills} {problem or 'equal'}", file=sys.stderr)
        if tally.runs >= 3 * kills + 3:
            break
    return tally


def main() -> int:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default="", help="numbers of cases, such as 0,3 (default: all)")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    chosen = [CASES[int(k)] for k in given.cases.split(",") if k] or list(CASES)
    each = -(-given.kills // len(chosen))
    root = Path(tempfile.mkdtemp(prefix="gdl-kills-"))
    with ThreadPoolExecutor(given.jobs) as pool:
        tallies = list(pool.map(lambda c: one_case(c, each, given.seed, root), chosen))
    print("| run | kills | before any checkpoint | runs | bitwise equal |\n|---|---|---|---|---|")
    for case, tally in zip(chosen, tallies, strict=True):
        cells = (case.name, tally.kills, tally.at_start, tally.runs, tally.equal)
        print(f"| {' | '.join(map(str, cells))} |")
    sums = [sum(getattr(t, k) for t in tallies) for k in ("kills", "at_start", "runs", "equal")]
    print(f"| all | {' | '.join(map(str, sums))} |")
    for failure in (f for t in tallies for f in t.failures):
        print(failure)
    return int(any(t.failures for t in tallies))


if __name__ == "__main__":
    sys.exit(main())
