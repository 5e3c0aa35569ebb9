"""Test kills during checkpoint writes, damaged checkpoints, full disks and stops.

Each fault occurs in a real run, which is then restarted with the same command and
``--resume auto``. It must produce the same bits as an uninterrupted run. Prints a Markdown table;
the exit code is 1 if a result differs.

    python scripts/faults/damage.py
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from trainings import Case, difference, flags, prepare, start, whole

SLOW = Case(
    "tabular",
    flags(
        "--trainer.max_epochs 6 --model.net.hidden 1024,1024 --checkpoint.every_n_steps 1 "
        "--checkpoint.keep 3"
    ),
    "tabular",
)
"""Run that spends most of its time writing a checkpoint of 13 MB per step."""

LONG = Case(
    "vision",
    flags(
        "--trainer.max_steps 90 --trainer.val_check_interval 5 --model.net.width 4 "
        "--data.val_fraction 0.5 --checkpoint.every_n_steps 4"
    ),
    "vision",
)
"""Run that spends half of its time in validation."""


def again(case: Case, folder: Path) -> str:
    """Restart until the run completes, and return the failure, if any."""
    code = start(case, folder, folder / "log").wait()
    return "" if code == 0 else f"exit code {code}: {(folder / 'log').read_text()[-800:]}"


def same(folder: Path, twin: Path) -> str:
    """Return how a run differs from the uninterrupted one."""
    return difference(twin / "runs/run/version_0", folder / "runs/run/version_0")


def killed_while_writing(folder: Path, twin: Path, chance: random.Random) -> str:
    """Kill when a temporary file appears, after some checkpoints."""
    skip = chance.randrange(40)
    process = start(SLOW, folder, folder / "log")
    checkpoints = folder / "runs/run/version_0/checkpoints"
    seen: set[str] = set()
    while process.poll() is None:
        for path in checkpoints.glob(".*.tmp"):
            try:
                seen.add(f"{path.name} {path.stat().st_mtime_ns // 10_000_000}")
            except FileNotFoundError:
                continue
            if len(seen) > skip and path.exists():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if not list(checkpoints.glob(".*.tmp")):
                    return "missed"
                return again(SLOW, folder) or same(folder, twin)
    return "missed"


def stopped(case: Case, folder: Path, number: signal.Signals, wait: float) -> tuple[str, float]:
    """Send a signal during training; return the failure, and the time until the exit."""
    process = start(case, folder, folder / "log")
    while process.poll() is None and not (folder / "runs/run/version_0/metrics.csv").exists():
        time.sleep(0.01)
    time.sleep(wait)
    began = time.monotonic()
    process.send_signal(number)
    code = process.wait()
    seconds = time.monotonic() - began
    wanted = 130 if number == signal.SIGINT else 75
    if (folder / "runs/run/version_0/metrics.json").exists():
        return "missed", seconds  # the run had completed
    if code != wanted:
        return f"exit code {code}: {(folder / 'log').read_text()[-800:]}", seconds
    return "", seconds


def asked_to_stop(folder: Path, twin: Path, chance: random.Random) -> str:
    """Send a signal, then run the same command again."""
    number = chance.choice([signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
    problem, seconds = stopped(LONG, folder, number, chance.uniform(0, 3))
    if seconds > 10:
        problem = f"{number.name} took {seconds:.1f} s"
    return problem or again(LONG, folder) or same(folder, twin)


def damaged(folder: Path, twin: Path, chance: random.Random) -> str:
    """Stop, damage the newest checkpoint, restart: it must be reported and skipped."""
    problem, _ = stopped(LONG, folder, signal.SIGTERM, chance.uniform(1, 3))
    last = folder / "runs/run/version_0/checkpoints/last.ckpt"
    if problem or not (last.parent / "previous-1.ckpt").exists():
        return problem or "missed"
    raw = bytearray(last.read_bytes())
    kind = chance.choice(["truncated", "flipped", "empty", "zeros"])
    if kind == "truncated":
        raw = raw[: chance.randrange(1, len(raw))]
    elif kind == "flipped":
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    elif kind == "empty":
        raw = bytearray()
    else:
        start_at = chance.randrange(len(raw) - 512)
        raw[start_at : start_at + 512] = bytes(512)
    last.write_bytes(raw)
    problem = again(LONG, folder) or same(folder, twin)
    if not problem and f"Passing over {last}" not in (folder / "log").read_text():
        return f"{kind}: not named"
    return f"{kind}: {problem}" if problem else ""


def disk_full(folder: Path, twin: Path, chance: random.Random) -> str:
    """Train on a file system of a few MB, then move to a larger one and resume."""
    small = folder / "runs"
    small.mkdir()
    size = f"size={chance.randrange(30, 60)}m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        return "missed"
    try:
        ballast = small / "ballast"
        with ballast.open("wb") as stream:
            stream.write(bytes(chance.randrange(1, 12) << 20))
        code = start(SLOW, folder, folder / "log").wait()
        text = (folder / "log").read_text()
        if code != 74 or "Traceback" in text:
            return f"exit code {code}: {text[-800:]}"
        kept = folder / "kept"
        ballast.unlink()
        shutil.copytree(small, kept)
    finally:
        subprocess.run(["umount", str(small)], check=False)
    small.rmdir()
    kept.rename(small)
    return again(SLOW, folder) or same(folder, twin)


def file_too_large(folder: Path, twin: Path, chance: random.Random) -> str:
    """Limit the size of files, like a quota."""
    limit = chance.randrange(1 << 20, 8 << 20)
    command = SLOW.command(folder / "runs")
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if done.returncode != 74 or "Traceback" in done.stderr:
        return f"exit code {done.returncode}: {done.stderr[-800:]}"
    (folder / "log").write_text(done.stderr)
    return again(SLOW, folder) or same(folder, twin)


Trial = Callable[[Path, Path, random.Random], str]
TRIALS: dict[str, tuple[Trial, Case, int]] = {
    "killed while a checkpoint is written": (killed_while_writing, SLOW, 50),
    "newest checkpoint damaged": (damaged, LONG, 30),
    "SIGTERM, SIGINT or SIGUSR1": (asked_to_stop, LONG, 20),
    "disk full": (disk_full, SLOW, 5),
    "file too large (quota)": (file_too_large, SLOW, 3),
}


def main() -> int:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--share", type=float, default=1.0, help="fraction of the default number of trials"
    )
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="gdl-damage-"))
    twins = {case: prepare(root / f"twin-{k}") for k, case in enumerate((SLOW, LONG))}
    for case, twin in twins.items():
        whole(case, twin)
    print("| fault | trials | equal, bit by bit |\n|---|---|---|", flush=True)
    failures = []
    for name, (trial, case, usual) in TRIALS.items():
        wanted = max(1, round(usual * given.share))
        chance, good, tried, attempts = random.Random(f"{given.seed} {name}"), 0, 0, 0
        while tried < wanted and attempts < 4 * wanted:
            attempts += 1
            folder = prepare(root / f"{trial.__name__}-{attempts}")
            problem = trial(folder, twins[case], chance)
            if problem == "missed":
                continue
            tried, good = tried + 1, good + (not problem)
            print(f"  {name}: {tried}/{wanted} {problem or 'equal'}", file=sys.stderr, flush=True)
            if problem:
                failures.append(f"{folder}: {problem}")
            else:
                shutil.rmtree(folder)
        print(f"| {name} | {tried} | {good} |", flush=True)
        if tried < wanted:
            failures.append(f"{name}: only {tried} of {wanted} could be tried")
    print("\n".join(failures))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
