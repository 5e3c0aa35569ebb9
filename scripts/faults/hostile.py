"""Pass malicious and damaged input files to ``gdl``, and check how it handles them.

Checkpoints, weights, configs, tables, images, sequences, texts and Hugging Face folders are created
from a seed and passed to the real command in a process of limited memory. Unusable input must end
with exit code 2 and at most five lines; damaged files that are still readable may be used. No code
in a file may run, no file may be written outside, and no case may take long. Prints a table; the
exit code is 1 if a case fails.

    python scripts/faults/hostile.py --inputs 1000 --seed 0
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hostile_base import FAMILIES, Attempt, Scene, prepare

SHARES = {
    "checkpoint": 6,
    "weights": 2,
    "config": 3,
    "table": 4,
    "image": 2,
    "series": 1,
    "text": 1,
    "hub": 1,
}
MEMORY = 3 << 29
"""Additional memory that a case may use, in bytes."""
SECONDS = 40


@dataclass(frozen=True)
class Verdict:
    """Outcome of a case: rejected, read, or a failure."""

    kind: str
    seed: int
    what: str
    outcome: str
    seconds: float = 0.0
    message: str = ""


class TooLong(BaseException):
    """Timeout of a case, not derived from Exception so that no handler catches it."""


def makers() -> dict[str, Callable[[Scene], Attempt]]:
    """Function that creates each kind of input."""
    import hostile_checkpoints
    import hostile_files
    import hostile_tables

    return {
        "checkpoint": hostile_checkpoints.checkpoint,
        "weights": hostile_checkpoints.weights,
        "config": hostile_files.config,
        "table": hostile_tables.table,
        "image": hostile_files.image,
        "series": hostile_files.series,
        "text": hostile_files.text,
        "hub": hostile_files.hub,
    }


def run(argv: list[str]) -> tuple[int, str]:
    """Return the exit code and error output of a command in this process."""
    from gdlightning.__main__ import main

    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            code = main(argv)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return code, err.getvalue()


def judge(attempt: Attempt, canary: Path, fence: Path) -> tuple[str, str]:
    """Return the outcome, and the message."""
    try:
        code, err = run(attempt.argv)
    except TooLong:
        return f"took more than {SECONDS} s", ""
    except BaseException:
        return f"exception: {traceback.format_exc()[-1500:]}", ""
    return outcome_of(attempt, code, err, canary, fence), err.strip()


def outcome_of(attempt: Attempt, code: int, err: str, canary: Path, fence: Path) -> str:
    """Return the outcome by the exit code and the files left behind."""
    if canary.exists():
        canary.unlink()
        return "code of the file was run"
    outside = sorted(set(os.listdir(fence)) - {"base", "case", "canary"})
    if outside:
        return f"wrote {outside} outside"
    if code == 0:
        return "read" if attempt.harmless else "was read, but must be rejected"
    if code == 2 and len(err.strip().splitlines()) <= 5 and "Traceback" not in err:
        return "refused"
    return f"exit code {code}: {err[-1500:]}"


def one(root: Path, kind: str, seed: int) -> Verdict:
    """Create and run a case."""
    fence = root / f"worker-{os.getpid()}"
    folder = fence / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    scene = Scene(root / "base", folder, fence / "canary", random.Random(f"{kind} {seed}"))
    attempt = makers()[kind](scene)
    began = time.monotonic()
    signal.alarm(SECONDS)
    try:
        outcome, message = judge(attempt, scene.canary, fence)
    except TooLong:
        outcome, message = f"took more than {SECONDS} s", ""
    finally:
        signal.alarm(0)
    return Verdict(kind, seed, attempt.what, outcome, time.monotonic() - began, message)


def worker(root: Path, pipe: Connection) -> None:
    """Answer requests (kind, seed) until the connection is closed."""
    import torch

    def stop(*_: Any) -> None:
        raise TooLong

    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, stop)
    for _ in range(2):  # fill imports and caches before memory is limited
        run(["test", str(root / "base/runs/tabular/version_0")])
        run(
            [
                "export",
                str(root / "base/runs/tabular/version_0"),
                "--output",
                "/dev/null",
                "--format",
                "pt2",
            ]
        )
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(one(root, *pipe.recv()))


class Worker:
    """Process that runs cases, replaced if it dies or hangs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process: Any = None

    def ask(self, kind: str, seed: int) -> Verdict:
        """Return the outcome of a case."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, other = context.Pipe()
            self.process = context.Process(target=worker, args=(self.root, other), daemon=True)
            self.process.start()
            other.close()
        try:
            self.pipe.send((kind, seed))
            if self.pipe.poll(SECONDS + 120):
                verdict: Verdict = self.pipe.recv()
                return verdict
            outcome = "hangs"
        except (EOFError, BrokenPipeError):
            self.process.join()
            outcome = f"the process died: {self.process.exitcode}"
        self.close()
        return Verdict(kind, seed, "", outcome)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def build(root: Path, families: Iterable[str] = FAMILIES) -> None:
    """Create the valid files, and a run of each task."""
    from hostile_files import prepare_hub

    base = root / "base"
    base.mkdir()
    prepare(base)
    if "image" in families:
        prepare_hub(base)
    os.chdir(base)
    scene = Scene(base, base, base / "none", random.Random(0))
    for family in families:
        code, err = run(scene.fit(family, scene.good(family)))
        if code:
            sys.exit(f"{family} does not train: {err}")


def cases(
    count: int, seed: int, kinds: Collection[str], shares: Mapping[str, int] = SHARES
) -> list[tuple[str, int]]:
    """Return the kinds in their proportions, with seeds."""
    order = [k for k in shares for _ in range(shares[k]) if k in kinds]
    random.Random(0).shuffle(order)
    return [(order[k % len(order)], seed * 1_000_000 + k) for k in range(count)]


def main() -> int:
    """Run the selected cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kinds", default=",".join(SHARES))
    parser.add_argument("--case", type=int, help="seed of a single case of one kind")
    parser.add_argument("--all", action="store_true", help="print every case, not only failures")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    chosen = cases(given.inputs, given.seed, kinds)
    if given.case is not None:
        chosen = [(kinds[0], given.case)]
    root = Path(tempfile.mkdtemp(prefix="gdl-hostile-"))
    builder = multiprocessing.get_context("spawn").Process(target=build, args=(root,))
    builder.start()
    builder.join()
    if builder.exitcode:
        return 1

    def some(number: int) -> list[Verdict]:
        helper = Worker(root)
        found = []
        for case in chosen[number :: given.jobs]:
            found.append(helper.ask(*case))
            last = found[-1]
            if given.all or last.outcome not in ("refused", "read"):
                text = f"{last.kind} {last.seed}: {last.what}: {last.outcome} {last.message}"
                print(text, file=sys.stderr, flush=True)
        helper.close()
        return found

    with ThreadPoolExecutor(given.jobs) as pool:
        verdicts = [v for part in pool.map(some, range(given.jobs)) for v in part]
    shutil.rmtree(root, ignore_errors=True)
    return report(verdicts)


def report(verdicts: list[Verdict]) -> int:
    """Print a Markdown table; return 1 if a case failed."""
    counts = Counter(
        (v.kind, v.outcome if v.outcome in ("refused", "read") else "failed") for v in verdicts
    )
    heads = ("input", "files", "refused", "read as data", "failed", "slowest, s")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    kinds = list(dict.fromkeys(v.kind for v in verdicts))
    for kind in [*kinds, "all"]:
        own = [v for v in verdicts if kind in (v.kind, "all")]
        cells = [
            sum(counts[k, o] for k in kinds if kind in (k, "all"))
            for o in ("refused", "read", "failed")
        ]
        slowest = max((v.seconds for v in own), default=0.0)
        print(f"| {kind} | {len(own)} | {' | '.join(map(str, cells))} | {slowest:.1f} |")
    return int(any(v.outcome not in ("refused", "read") for v in verdicts))


if __name__ == "__main__":
    sys.exit(main())
