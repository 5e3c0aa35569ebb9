"""Compare successive halving and stacked runs with a plain grid search.

Trains the same number of settings of the same optimizers on the same task: each separately with all
steps, and as ``gdl compare`` does. Both run in this process, in turn, on one thread; times are CPU
times of this process. Prints a Markdown table of ratios.

    python scripts/study/halving.py            # 3 rounds of 900 steps
    python scripts/study/halving.py --quick    # 1 round of 300 steps
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from gdlightning.data.tabular import SklearnTabular
from gdlightning.nets.mlp import MLP
from gdlightning.study.comparison import together
from gdlightning.study.search import StudyPlan, Tuned, tune
from gdlightning.study.space import Candidate, make_candidate
from gdlightning.study.stacked_trials import jobs, run
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload
from gdlightning.tasks.tabular import TabularClassification

OPTIMIZERS = ("adamw", "sgd", "lion")
TRIALS = 18


def workload(steps: int) -> Workload:
    """Return the workload: breast cancer with a small net."""
    data = SklearnTabular(dataset="breast_cancer", batch_size=32, val_fraction=0.2)
    data.setup()
    return Workload(
        "cancer",
        lambda: TabularClassification(MLP(30, [], 2, hidden=[64, 64]), outputs=2),
        data,
        steps,
        trainer={"accelerator": "cpu"},
    )


def search(
    task: Workload, rivals: Sequence[Candidate], halving: bool, seed: int
) -> tuple[float, int, list[Tuned]]:
    """Seconds, steps and what was found."""
    named, labelled, steps = {task.name: task}, {c.label: c for c in rivals}, 0

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        nonlocal steps
        lists = jobs(trials, named, labelled) if halving else [[t] for t in trials]
        found = {
            t.key: o for job in lists for t, o in zip(job, run(job, named, labelled), strict=True)
        }
        steps += sum(t.steps for t in trials if t.purpose == "tuning")
        return [found[t.key] for t in trials]

    plan = StudyPlan(trials=TRIALS, halving=halving, seed=seed)
    began = time.process_time()
    tuned = together([tune(task, c, plan) for c in rivals], evaluate)
    return time.process_time() - began, steps, tuned


def main() -> None:
    """Run the measurements, and print the table."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    rounds, steps = (1, 300) if given.quick else (given.rounds, given.steps)
    torch.set_num_threads(1)
    task, rivals = workload(steps), [make_candidate(n, n, tuned=("lr",)) for n in OPTIMIZERS]
    search(workload(60), rivals, halving=True, seed=0)  # warms up
    print("| round | steps | seconds | validation loss: grid → halving | lr: grid → halving |")
    print("|---|---|---|---|---|")
    for seed in range(rounds):
        whole = search(task, rivals, halving=False, seed=seed)
        short = search(task, rivals, halving=True, seed=seed)
        pairs = list(zip(rivals, whole[2], short[2], strict=True))
        scores = ", ".join(f"{c.label} {a.score:.4f} → {b.score:.4f}" for c, a, b in pairs)
        rates = ", ".join(
            f"{c.label} {a.settings['lr']:.3g} → {b.settings['lr']:.3g}" for c, a, b in pairs
        )
        print(
            f"| {seed} | {short[1] / whole[1]:.2f} | {short[0] / whole[0]:.2f} | {scores} "
            f"| {rates} |",
            flush=True,
        )
        print(f"{whole[0]:.1f} s, {short[0]:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
