"""Measure the CPU time and memory of ``gdl diagnose`` by the length of a run.

Writes an ``instruments.jsonl`` with rows as the monitor spaces them (every tenth step at first,
every 500th later) or at a fixed interval, and reads it as ``gdl diagnose`` does. Prints the time of
reading, of all verdicts together, and of the slowest verdicts. Losses decrease with noise; one step
in a thousand is a spike.

    python scripts/bench/verdicts.py --steps 10000 100000 1000000
    python scripts/bench/verdicts.py --steps 1000000 --every 1
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdlightning.callbacks.monitor import Monitor
from gdlightning.diagnostics.diagnose import CHECKS, diagnose
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.storage.journal import JOURNAL

LAYERS = [f"net.layers.{k}.weight" for k in range(4)]
SPIKES = 0.001


def rows(steps: int, every: int | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a run with four layers."""
    chance, monitor = random.Random(0), Monitor(every)
    data = {"examples": {"train": 50_000, "val": 5_000}, "entropy": 0.69}
    start = {"layers": LAYERS, "steps": steps, "warmup": 0, "clip": "NormClip", "data": data}
    yield {"step": 0, "start": start}
    step = 0
    while step < steps:
        gap = min(monitor._gap(step), steps - step)
        level = 0.1 + 2 * 0.5 ** (10 * step / steps)
        losses = [level * chance.lognormvariate(0, 0.1) for _ in range(gap)]
        found = [k for k in range(gap) if chance.random() < SPIKES]
        for k in found:
            losses[k] *= 10
        step += gap
        sizes = [chance.lognormvariate(0, 0.1) for _ in LAYERS]
        row = {
            "step": step - 1,
            "loss": losses[-1],
            "losses": losses,
            "clipped": chance.random(),
            "gain": chance.gauss(0.8, 0.1),
            "promised": -chance.lognormvariate(-4, 0.1),
            "examples": 32,
            "grad_norm": chance.lognormvariate(0, 0.1),
            "update_ratio": chance.lognormvariate(-7, 0.1),
            "lr": 0.1,
            "grads": sizes,
            "weights": [10.0 * v for v in sizes],
            "updates": [0.01 * v for v in sizes],
            "dead": {f"net.act.{k}": 0.1 * v for k, v in enumerate(sizes)},
            "scale": {f"net.layers.{k}": v for k, v in enumerate(sizes)},
        }
        if found:
            row["spikes"] = [
                {
                    "step": step - gap + k,
                    "loss": losses[k],
                    "typical": level,
                    "examples": [chance.randrange(50_000) for _ in range(32)],
                }
                for k in found
            ]
        yield row
        yield {"step": step - 1, "alike": [chance.gauss(0.3, 0.3), sizes[0], sizes[1]]}
        if step % 10_000 < gap:
            yield {"step": step - 1, "val": {"val_loss": level, "val_accuracy": 0.5}}


def measure(steps: int, every: int | None, worst: int = 3) -> str:
    """Return a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / JOURNAL
        with file.open("w") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows(steps, every))
        size, before = file.stat().st_size, _resident()
        began = time.process_time()
        record = RunRecord.read(Path(folder))
        read = time.process_time() - began
    began = time.process_time()
    diagnose(record)
    judged = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    costs: dict[str, float] = {}
    for name in CHECKS.names():
        began = time.process_time()
        list(CHECKS.find(name)(record))
        costs[name] = time.process_time() - began
    slowest = sorted(costs, key=lambda name: -costs[name])[:worst]
    told = ", ".join(f"{name} {costs[name]:.2f}" for name in slowest)
    return (
        f"| {steps:,} | {len(record.steps):,} | {size / 2**20:,.0f} | {read:.1f} | {judged:.1f} "
        f"| {max(0.0, memory):,.0f} | {told} |"
    )


def _resident() -> float:
    """Return the current memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--every", type=int, help="steps between rows (default: as the monitor)")
    given = parser.parse_args()
    heads = (
        "steps",
        "measured",
        "file, MiB",
        "read, s",
        "judge, s",
        "memory, MiB",
        "slowest findings, s",
    )
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for steps in given.steps:
        print(measure(steps, given.every), flush=True)


if __name__ == "__main__":
    main()
