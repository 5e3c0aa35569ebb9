"""Training speed of gdlightning beside loops by hand and other frameworks, as ratios in one run.

All contestants train the same nets on the same batches in the same order with the same optimizer
and clipping, in turn, several rounds; a step is timed from optimizer step to optimizer step, after
the first 20. The losses that they end with must agree. Prints a Markdown table for
docs/benchmarks.md and writes all figures to runs/bench/speed.json.

    python scripts/bench/speed.py --rounds 5
    python scripts/bench/speed.py --workloads "tiny MLP" --contestants "tutorial loop" gdlightning
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

from contestants import CONTESTANTS, run
from workloads import WORKLOADS

PACKAGES = {"HF Trainer": "transformers", "Ignite": "ignite", "skorch": "skorch",
            "accelerate": "accelerate"}  # fmt: skip
APART = 2e-3
"""Difference of the last losses that rounding explains: a share of those above 1, else in nats."""


def main() -> int:
    """Measure, print and write; the exit code is 1 where the losses disagree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--contestants", nargs="+", default=None, choices=CONTESTANTS)
    given = parser.parse_args()
    there = [c for c in CONTESTANTS
             if c not in PACKAGES or importlib.util.find_spec(PACKAGES[c])]  # fmt: skip
    contestants = given.contestants or there
    found = {w: measure(w, contestants, given.rounds) for w in given.workloads}
    print("\n" + table(found))
    write(found)
    return max(disagreements(w, rows) for w, rows in found.items())


Rows = dict[str, list[tuple[float, float]]]


def measure(workload: str, contestants: list[str], rounds: int) -> Rows:
    """Seconds a step and last loss of each contestant in each round, in turn."""
    rows: Rows = {c: [] for c in contestants}
    for number in range(rounds):
        turn = number % len(contestants)  # nobody always follows the same one
        for contestant in contestants[turn:] + contestants[:turn]:
            step, loss, steps = run(contestant, workload)
            if steps != WORKLOADS[workload].steps:
                raise SystemExit(f"{contestant} made {steps} steps on {workload}.")
            rows[contestant].append((step, loss))
            line = f"{workload}, round {number + 1}, {contestant}: {1e3 * step:.3f} ms a step"
            print(f"{line}, loss {loss:.6f}", file=sys.stderr, flush=True)
    return rows


def ratios(rows: Rows, contestant: str, base: str) -> list[float]:
    """Of the times in each round."""
    return [a[0] / b[0] for a, b in zip(rows[contestant], rows[base], strict=True)]


def table(found: dict[str, Rows]) -> str:
    """A row a contestant: median ratio to the tutorial loop and to the floor, with their range."""
    lines = []
    for workload, rows in found.items():
        bases = [b for b in ("tutorial loop", "floor") if b in rows]
        lines += [f"| {workload} | ms a step | " + " | ".join(f"÷ {b}" for b in bases)
                  + " | last loss |", "|---" * (3 + len(bases)) + "|"]  # fmt: skip
        for contestant, times in rows.items():
            cells = [f"{1e3 * median(t for t, _ in times):.3f}"]
            for base in bases:
                r = ratios(rows, contestant, base)
                cells.append(f"{median(r):.2f} ({min(r):.2f} to {max(r):.2f})")
            cells.append(f"{times[-1][1]:.5f}")
            lines.append(f"| {contestant} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def disagreements(workload: str, rows: Rows) -> int:
    """1 where the contestants did not all come to the same loss, else 0."""
    losses = {c: times[-1][1] for c, times in rows.items()}
    middle = median(losses.values())
    apart = {c: loss for c, loss in losses.items() if abs(loss - middle) > APART * max(middle, 1.0)}
    if apart:
        print(f"{workload}: other losses than {middle:.6f}: {apart}", file=sys.stderr)
    return int(bool(apart))


def write(found: dict[str, Rows]) -> None:
    """All figures with versions, as JSON."""
    import torch

    packages = ("torch", "lightning", "transformers", "pytorch-ignite", "skorch", "accelerate")
    content = {
        "python": platform.python_version(), "machine": platform.machine(),
        "threads": torch.get_num_threads(), "versions": {p: _version(p) for p in packages},
        "rows": {w: {c: [{"seconds": s, "loss": loss} for s, loss in times]
                     for c, times in rows.items()} for w, rows in found.items()},
    }  # fmt: skip
    folder = Path("runs", "bench")
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / "speed.json.new"
    new.write_text(json.dumps(content, indent=1))
    new.replace(folder / "speed.json")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
