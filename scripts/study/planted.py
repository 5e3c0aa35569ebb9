"""Check that a comparison finds the best optimizer and learning rate where they are known.

The workloads are noisy quadratics whose best optimizer follows from their curvature, and whose best
learning rate is known from a dense grid with four seeds. With equal curvatures, gradient descent is
best by far; with curvatures over six decades, Adam is. Other studies compare an optimizer with
itself, half of them with different searches. Prints how often the studies were right, and how often
they reported a difference that does not exist.

    python scripts/study/planted.py            # 40 studies of each
    python scripts/study/planted.py --quick    # 4 of each
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from gdlightning.data.data_module import DataModule
from gdlightning.data.loader import TensorRows
from gdlightning.study.comparison import compare
from gdlightning.study.comparison_result import comparison_result
from gdlightning.study.search import StudyPlan
from gdlightning.study.space import Candidate, Range, make_candidate
from gdlightning.study.stacked_trials import jobs, run
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload
from gdlightning.tasks.task import Task

SIZE, STEPS, NOISE = 16, 90, 0.05
GRID = [10 ** (k / 8) for k in range(-40, 9)]
NEAR = 10**0.5
"""Maximum factor between a found learning rate and the best, unless it is as good."""


class Quadratic(Task):
    """½ Σ h (w - target)², of which a batch tells the target with noise.

    Args:
        curvatures: of each coordinate.
    """

    def __init__(self, curvatures: Tensor) -> None:
        super().__init__()
        self.register_buffer("curvatures", curvatures)
        self.weight = nn.Parameter(2 * torch.randn(SIZE).sign() + 0.2 * torch.randn(SIZE))

    def forward(self, target: Tensor) -> Tensor:
        return self.weight - target

    def loss(self, batch: Any) -> Tensor:
        """Return the mean over the batch."""
        (target,) = batch
        squares: Tensor = self.curvatures * self(target) ** 2
        return 0.5 * squares.sum(-1).mean()


class Targets(DataModule):
    """Noisy targets about 0."""

    def load(self) -> Any:
        """Create the three splits."""
        random = torch.Generator().manual_seed(0)
        sizes = {"train": 512, "val": 256, "test": 256}
        return {
            k: TensorRows(NOISE * torch.randn(n, SIZE, generator=random)) for k, n in sizes.items()
        }


def problem(kind: str, scale: float) -> Workload:
    """One curvature for all coordinates, or six decades of them."""
    if kind == "even":
        curvatures = torch.full((SIZE,), scale)
    else:
        curvatures = scale * torch.logspace(-3, 3, SIZE)
    data = Targets(batch_size=32)
    data.setup()
    return Workload(
        kind, lambda: Quadratic(curvatures), data, STEPS, trainer={"accelerator": "cpu"}
    )


def solve(
    workload: Workload, rivals: Sequence[Candidate], plan: StudyPlan
) -> tuple[Any, dict[str, float]]:
    """Return ranking and selected learning rates of a study."""
    named, labelled = {workload.name: workload}, {c.label: c for c in rivals}

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        found = {
            t.key: o
            for job in jobs(trials, named, labelled)
            for t, o in zip(job, run(job, named, labelled), strict=True)
        }
        return [found[t.key] for t in trials]

    (ranking,) = comparison_result(compare([workload], rivals, plan, evaluate)).rankings
    return ranking, {r.label: r.settings["lr"] for r in ranking.rows}


@lru_cache
def truth(kind: str, scale: float) -> dict[str, list[tuple[float, float]]]:
    """Optimizer → (rate, mean loss of four seeds) over the dense grid."""
    workload, found = problem(kind, scale), {}
    for name in ("gd", "adam"):
        rival = {name: make_candidate(name, name, tuned=("lr",))}
        rows = []
        for seed in range(50, 54):
            trials = [Trial(kind, name, {"lr": lr}, STEPS, seed) for lr in GRID]
            lists = jobs(trials, {kind: workload}, rival)
            rows.append(
                [
                    math.inf if o.failed else o.metrics["val_loss"]
                    for job in lists
                    for o in run(job, {kind: workload}, rival)
                ]
            )
        found[name] = [(lr, sum(v) / 4) for lr, *v in zip(GRID, *rows, strict=True)]
    return found


def planted(number: int) -> tuple[bool, bool, bool, str]:
    """Whether a study ranks the best optimizer first, claims that it is, and finds its rate."""
    kind = ("even", "spread")[number % 2]
    scale = 10 ** ((number // 2 % 5) / 2 - 1)
    known = truth(kind, scale)
    best = {name: min(loss for _, loss in grid) for name, grid in known.items()}
    winner = min(best, key=lambda k: best[k])
    rivals = [make_candidate(n, n, tuned=("lr",)) for n in known]
    plan = StudyPlan(trials=12, seeds=3, sweep=False, seed=number)
    ranking, rates = solve(problem(kind, scale), rivals, plan)
    first = ranking.rows[0].label == winner
    claimed = first and all(d.shown for d in ranking.differences)
    rate = rates[winner]
    least, _ = min(known[winner], key=lambda point: point[1])
    nearest = min(known[winner], key=lambda point: abs(math.log(point[0] / rate)))
    start = known[winner][0][1]
    as_good = nearest[1] <= best[winner] + 0.01 * (start - best[winner])
    found = as_good or 1 / NEAR <= rate / least <= NEAR
    return (
        first,
        claimed,
        found,
        f"{kind} {scale:.3g}: {ranking.rows[0].label}, lr {rate:.3g} ({least:.3g})",
    )


def same(number: int) -> bool:
    """Whether a study claims a difference between one optimizer and itself.

    Half of the studies search the same points for both names, as ``gdl compare`` does; in the
    other half each name has a range of its own, so that each finds other settings.
    """
    kind, scale = ("even", "spread")[number % 2], 10 ** ((number // 4 % 5) / 2 - 1)
    rivals = [make_candidate(n, "adamw", tuned=("lr",)) for n in ("one", "other")]
    if number // 2 % 2:
        shifted = Range(5e-5 * 10 ** (number % 7 / 7), 5e-2)
        rivals[1] = Candidate("other", rivals[1].optimizer, rivals[1].schedule, {"lr": shifted})
    plan = StudyPlan(trials=12, seeds=3, sweep=False, seed=number)
    ranking, _ = solve(problem(kind, scale), rivals, plan)
    return any(d.shown for d in ranking.differences)


def count(name: str, what: Callable[[int], bool], studies: Sequence[int]) -> int:
    """Print how often a property holds."""
    hits = sum(what(k) for k in studies)
    print(f"{name}: {hits} of {len(studies)} ({100 * hits / len(studies):.0f}%)", flush=True)
    return hits


def main() -> None:
    """Run the studies, and print the counts."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    L.seed_everything(0, verbose=False)
    numbers = range(4 if given.quick else given.studies)
    results = []
    for k in numbers:
        results.append(planted(k))
        print(k, *results[-1], file=sys.stderr, flush=True)
    count("best optimizer first", lambda k: results[k][0], numbers)
    count("best optimizer first, and claimed to be better", lambda k: results[k][1], numbers)
    count("learning rate of the best found", lambda k: results[k][2], numbers)
    count("both", lambda k: results[k][0] and results[k][2], numbers)
    alike = [k for k in numbers if not k // 2 % 2]
    unlike = [k for k in numbers if k // 2 % 2]
    claims = {k: same(k) for k in numbers}
    count("a claim between two names of one, same search", lambda k: claims[k], alike)
    count("a claim between two names of one, other searches", lambda k: claims[k], unlike)


if __name__ == "__main__":
    main()
