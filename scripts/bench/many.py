"""Compare a stacked run of sixteen learning rates with sixteen separate runs.

Trains the tiny MLP of ``workloads.py`` with AdamW and clipping on one thread: with ``train_many``,
sixteen times with a minimal loop, and sixteen times with ``gdl fit --profile fast``. Prints a
Markdown table of ratios.

    python scripts/bench/many.py --rounds 5
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from contestants import run
from ours import Classifier, Examples
from workloads import WORKLOADS

from gdlightning.study.train_many import Variation, train_many

RATES = [10 ** (-4 + k / 5) for k in range(16)]


def at_once(workload: str, steps: int) -> float:
    """Return the time per step of all sixteen, in seconds."""
    batch = WORKLOADS[workload].batch
    data = Examples(workload, val_fraction=0, test_fraction=0, batch_size=batch)
    data.setup()

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        train_many(
            lambda: Classifier(workload),
            data,
            [Variation(lr=lr) for lr in RATES],
            steps=steps,
            optimizer={"name": "adamw", "weight_decay": 0.0},
            clip=1.0,
            trace=True,
        )
        return time.perf_counter() - began

    return (seconds(steps) - seconds(20)) / (steps - 20)


def main() -> None:
    """Run the measurements, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workload", default="tiny MLP", choices=WORKLOADS)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[tuple[float, ...]] = []
    for number in range(given.rounds + 1):
        row = (
            at_once(given.workload, given.steps),
            16 * run("floor", given.workload)[0],
            16 * run("gdlightning, profile fast", given.workload)[0],
            16 * run("tutorial loop", given.workload)[0],
        )
        if number:  # the first round is a warm-up
            rows.append(row)
        print([f"{1e3 * t:.2f} ms" for t in row], file=sys.stderr, flush=True)
    print("| baseline | median ratio | range |\n|---|---|---|")
    for k, name in enumerate(("minimal loop", "gdl fit --profile fast", "tutorial loop"), 1):
        ratios = [row[0] / row[k] for row in rows]
        print(
            f"| {name}, sixteen times | {median(ratios):.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} |"
        )


if __name__ == "__main__":
    main()
