"""Run ``gdl compare`` or ``gdl recommend`` on six small tasks.

With ``compare``, each optimizer is tuned on each task and evaluated with fresh seeds; the
conclusions of the reports are printed. With ``recommend``, the recommended settings, with and
without short runs, are compared with fixed defaults at the same number of steps and seeds, by
validation loss.

    python scripts/study/tasks.py recommend --quick
    python scripts/study/tasks.py compare --quick
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean, stdev
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from gdlightning.runs.config_workload import workload
from gdlightning.runs.load_config import load
from gdlightning.runs.quiet import quiet
from gdlightning.study.comparison import compare
from gdlightning.study.comparison_result import comparison_result
from gdlightning.study.recommend import recommend
from gdlightning.study.search import StudyPlan
from gdlightning.study.short_runs import measure
from gdlightning.study.space import Candidate, make_candidate
from gdlightning.study.stacked_trials import jobs, run
from gdlightning.study.task_profile import task_profile
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload

TASKS = {
    "sparse text": ("text", ["--data.val_fraction", "0.2"], 400, ("adam", "adagrad", "gd", "sgd")),
    "tabular": (
        "tabular",
        ["--data.val_fraction", "0.2"],
        260,
        ("adamw", "adam", "momentum", "gd"),
    ),
    "regression": (
        "tabular_regression",
        ["--data.val_fraction", "0.2"],
        300,
        ("adamw", "momentum", "gd"),
    ),
    "digits": (
        "vision",
        ["--model.net.width", "8", "--data.val_fraction", "0.2"],
        300,
        ("adamw", "sgd"),
    ),
    "sequence": (
        "sequence",
        ["--model.net.width", "32", "--data.val_fraction", "0.2"],
        300,
        ("adamw", "sgd"),
    ),
    "forecast": ("forecast", [], 200, ("adamw", "sgd")),
}
"""Config, flags, steps and compared optimizers of each task."""
COSINE = {"name": "cosine", "warmup": 0.05}
DEFAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "AdamW 1e-3": ({"name": "adamw", "lr": 1e-3}, {"name": "constant"}),
    "Adam 1e-3": ({"name": "adam", "lr": 1e-3}, {"name": "constant"}),
    "SGD 0.1, momentum": ({"name": "momentum", "lr": 0.1}, {"name": "constant"}),
    "HF Trainer": ({"name": "adamw", "lr": 5e-5, "weight_decay": 0.0}, {"name": "linear"}),
    "skorch": ({"name": "gd", "lr": 0.01}, {"name": "constant"}),
    "one-cycle, fastai": (
        {"name": "adamw", "lr": 1e-3, "betas": [0.95, 0.99]},
        {"name": "one_cycle"},
    ),
}
"""Default optimizer and schedule of other tools."""


def task(name: str, quick: bool, metric: str = "val_loss") -> Workload:
    """Return a task with built-in data."""
    path, flags, steps, _ = TASKS[name]
    config, _ = load(["--config", f"configs/{path}.yaml", "--trainer.accelerator", "cpu", *flags])
    made = workload(config, 60 if quick else steps, metric)
    made.name = name
    return made


def outcomes(
    made: Workload, rivals: Mapping[str, Candidate], trials: list[Trial]
) -> list[TrialResult]:
    """Run trials on one task, in order."""
    named = {made.name: made}
    found = {
        t.key: o
        for job in jobs(trials, named, rivals)
        for t, o in zip(job, run(job, named, rivals), strict=True)
    }
    return [found[t.key] for t in trials]


def losses(
    made: Workload, optimizer: Mapping[str, Any], schedule: Mapping[str, Any], seeds: int
) -> list[float]:
    """Return the final validation loss per seed, capped for failed runs."""
    own = Candidate("own", optimizer, schedule, {})
    trials = [Trial(made.name, "own", {}, made.steps, 10 + k, "baseline") for k in range(seeds)]
    scores = [made.score(o.metrics) for o in outcomes(made, {"own": own}, trials)]
    return [min(s, 1e3) for s in scores]


def recommended(seeds: int, quick: bool) -> None:
    """Print recommendations compared with fixed defaults."""
    rows: dict[str, dict[str, list[float]]] = {}
    for name in TASKS:
        made = task(name, quick)
        found = recommend(task_profile(made.module(), made.data, made.steps, accelerator="cpu"))
        schedule = found.sections.get("schedule", {"name": "constant"})
        clipped = replace(made, clip=found.sections.get("clip"))
        plain = replace(made, clip=None)
        rows[name] = {label: losses(plain, *how, seeds) for label, how in DEFAULTS.items()} | {
            "gdl recommend": losses(clipped, found.sections["optimizer"], schedule, seeds)
        }
        candidates = [found.sections["optimizer"], *found.others]
        refined = measure(clipped, candidates, schedule)
        followed = schedule if refined.optimizer["name"] == "adagrad" else COSINE
        followed = schedule if schedule["name"] != "constant" else followed
        rows[name]["with --measure"] = losses(clipped, refined.optimizer, followed, seeds)
        print(name, refined.words, file=sys.stderr, flush=True)
    labels = list(next(iter(rows.values())))
    print("| validation loss | " + " | ".join(labels) + " |\n|---|" + "---|" * len(labels))
    for name, row in rows.items():
        cells = [f"{fmean(v):.4f} ± {stdev(v):.4f}" for v in row.values()]
        print(f"| {name} | " + " | ".join(cells) + " |")
    ranks = {
        k: fmean(sorted(map(fmean, r.values())).index(fmean(r[k])) + 1 for r in rows.values())
        for k in labels
    }
    ratio = {
        k: fmean(fmean(r[k]) / min(map(fmean, r.values())) for r in rows.values()) for k in labels
    }
    print("| mean rank | " + " | ".join(f"{ranks[k]:.2f}" for k in labels) + " |")
    print("| mean ratio to the best | " + " | ".join(f"{ratio[k]:.2f}" for k in labels) + " |")


def compared(
    seeds: int, quick: bool, only: str = "", metric: str = "val_loss", schedule: str | None = None
) -> None:
    """Print the conclusions of comparisons.

    Args:
        seeds: for the verdict.
        quick: short runs, few settings.
        only: of the tasks; all if empty.
        metric: that is tuned for and judged by.
        schedule: of all optimizers; a cosine if not given.
    """
    for name in [only] if only else list(TASKS):
        _, _, _, optimizers = TASKS[name]
        made = task(name, quick, metric)
        rivals = {n: make_candidate(n, n, schedule, tuned=("lr",)) for n in optimizers}
        plan = StudyPlan(trials=4 if quick else 9, seeds=seeds, sweep=False)
        evaluate = partial(outcomes, made, rivals)
        found = comparison_result(compare([made], list(rivals.values()), plan, evaluate))
        (ranking,) = found.rankings
        print(f"\n{name}, {made.steps} steps, {ranking.metric}:")
        for row in ranking.rows:
            print(f"  {row.label}: {row.value.mean:.4f}, lr {row.settings['lr']:.3g}")
        print("  " + "\n  ".join(ranking.words), flush=True)


def main() -> None:
    """Run the selected evaluation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=("recommend", "compare"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--only", default="", choices=list(TASKS), help="with compare: a single task"
    )
    parser.add_argument("--metric", default="val_loss", help="with compare: metric to rank by")
    parser.add_argument(
        "--schedule", help="with compare: schedule of all optimizers (default: cosine)"
    )
    given = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    seeds = 2 if given.quick else given.seeds
    if given.what == "recommend":
        recommended(seeds, given.quick)
    else:
        compared(seeds, given.quick, given.only, given.metric, given.schedule)


if __name__ == "__main__":
    main()
