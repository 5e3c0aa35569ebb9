"""Pass damaged files of every kind to the commands of ``gdl`` that read them.

Each file is created from a seed: flipped, removed or repeated bytes, values of other types, huge
numbers, deep nesting, encodings, files of another kind. Each case runs in a fork of a process that
has already imported everything. A case fails if the command prints a traceback, ends with an
undocumented exit code, takes too long, or runs code from the file. Prints a table; the exit code is
1 if a case fails.

    python scripts/faults/fuzzed.py --files 2000 --seed 0
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hostile_runs
from hostile import Verdict, build, cases, makers, report, run
from hostile_base import FAMILIES, Attempt, Scene

RUNS: dict[str, Callable[[Scene], Attempt]] = {
    "instruments": hostile_runs.instruments,
    "curvature": hostile_runs.measured,
    "metrics": hostile_runs.metrics,
    "events": hostile_runs.events,
    "run's config": hostile_runs.run_config,
    "run's other files": hostile_runs.other,
    "run's checkpoint": hostile_runs.saved,
    "only checkpoint": hostile_runs.alone,
    "settings": hostile_runs.settings,
    "space": hostile_runs.space,
    "study": hostile_runs.study,
    "database": hostile_runs.database,
    "landscape": hostile_runs.surface,
    "lab": hostile_runs.lab,
}
SHARES = {
    "instruments": 8,
    "curvature": 3,
    "metrics": 4,
    "events": 3,
    "run's config": 4,
    "run's other files": 2,
    "run's checkpoint": 2,
    "only checkpoint": 3,
    "settings": 6,
    "space": 3,
    "study": 6,
    "database": 4,
    "landscape": 3,
    "lab": 1,
    "checkpoint": 3,
    "weights": 2,
    "config": 2,
    "table": 6,
    "image": 2,
    "series": 3,
    "text": 2,
    "hub": 2,
}
CODES = (0, 2, 3, 74, 75, 130)
"""Documented exit codes."""
MEMORY = 3 << 30
"""Additional memory that a case may use, in bytes."""


@dataclass
class Case:
    """A case that runs."""

    kind: str
    seed: int
    attempt: Attempt
    fence: Path
    canary: Path
    began: float


def make(root: Path, fence: Path, kind: str, seed: int) -> Case:
    """Write the file of a case."""
    shutil.rmtree(fence, ignore_errors=True)
    (fence / "case").mkdir(parents=True)
    scene = Scene(root / "base", fence / "case", fence / "canary", random.Random(f"{kind} {seed}"))
    os.chdir(scene.folder)
    attempt = (RUNS | makers())[kind](scene)
    return Case(kind, seed, attempt, fence, scene.canary, time.monotonic())


def start(case: Case, seconds: int) -> int:
    """Run the command of a case in a fork; returns its process number."""
    number = os.fork()
    if number:
        return number
    os.setsid()
    signal.alarm(seconds)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    streams = os.open(case.fence.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(streams, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    code = 1
    try:
        from gdlightning.__main__ import main

        code = main(case.attempt.argv)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def judge(case: Case, status: int, seconds: float, limit: int) -> Verdict:
    """Return the outcome of a case."""
    error = case.fence.with_suffix(".err").read_text(errors="replace").strip()
    code = os.waitstatus_to_exitcode(status)
    said = error[error.rfind("error: ") :] if "error: " in error else ""
    outside = sorted(set(os.listdir(case.fence)) - {"case", "canary"})
    if case.canary.exists():
        outcome = "code of the file was run"
    elif outside:
        outcome = f"wrote {outside} outside"
    elif code == -signal.SIGALRM:
        outcome = f"took more than {limit} s"
    elif "Traceback" in error or code not in CODES:
        outcome = f"exit code {code}: {error[-3000:]}"
    elif code == 0:
        outcome = "read" if case.attempt.harmless else "was read, and must be refused"
    elif len(said.splitlines()) > 5 or (code in (2, 74) and not said):
        outcome = f"exit code {code} without an error in five lines: {error[-1500:]}"
    else:
        outcome = "refused"
    return Verdict(case.kind, case.seed, case.attempt.what, outcome, seconds, error)


def verdicts(
    root: Path, chosen: list[tuple[str, int]], jobs: int, limit: int
) -> Iterator[tuple[Case, Verdict]]:
    """Run all cases in parallel."""
    left, running = deque(chosen), dict[int, Case]()
    free = deque(root / f"work-{k}" for k in range(jobs))
    while left or running:
        while left and free:
            case = make(root, free.popleft(), *left.popleft())
            running[start(case, limit)] = case
        number, status, used = os.wait4(-1, 0)
        case = running.pop(number)
        with contextlib.suppress(ProcessLookupError):  # its child processes
            os.killpg(number, signal.SIGKILL)
        free.append(case.fence)
        yield case, judge(case, status, used.ru_utime + used.ru_stime, limit)


def prepared(root: Path, kinds: list[str]) -> None:
    """Create the valid files, and return the modules that were imported."""
    build(root, FAMILIES if set(kinds) & set(makers()) else ("tabular",))
    scene = Scene(root / "base", root / "base", root / "none", random.Random(0))
    if set(kinds) & set(RUNS):
        hostile_runs.prepare_runs(scene, run, kinds)
    (root / "modules").write_text("\n".join(m for m in sys.modules if "hostile" not in m))


def main() -> int:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=60, help="time limit of a case")
    parser.add_argument("--kinds", default=",".join(SHARES))
    parser.add_argument(
        "--case", type=int, help="seed of a single case of one kind; its files are kept"
    )
    parser.add_argument("--all", action="store_true", help="print every case, not only failures")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "MPLBACKEND": "agg",
    }
    chosen = cases(given.files, given.seed, kinds, SHARES)
    if given.case is not None:
        chosen = [(kinds[0], given.case)]
    root = Path(tempfile.mkdtemp(prefix="gdl-fuzzed-"))
    builder = multiprocessing.get_context("spawn").Process(target=prepared, args=(root, kinds))
    builder.start()
    builder.join()
    if builder.exitcode:
        return 1
    for name in (root / "modules").read_text().splitlines():
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    found = []
    for case, verdict in verdicts(root, chosen, given.jobs, given.seconds):
        found.append(verdict)
        if given.all or verdict.outcome not in ("refused", "read"):
            print(
                f"{verdict.kind} {verdict.seed}: {verdict.what}: {verdict.outcome}\n"
                f"    gdl {' '.join(case.attempt.argv)}\n"
                f"    {verdict.message[-300:]}",
                file=sys.stderr,
                flush=True,
            )
    os.chdir(Path(__file__).parent)
    if given.case is None:
        shutil.rmtree(root, ignore_errors=True)
    else:
        print(root)
    return report(sorted(found, key=lambda v: kinds.index(v.kind)))


if __name__ == "__main__":
    sys.exit(main())
