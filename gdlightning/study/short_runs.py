"""Short runs that choose between candidates and refine the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from gdlightning.study.comparison import together
from gdlightning.study.search import StudyPlan, Tuned, tune
from gdlightning.study.space import Candidate, Range, make_candidate
from gdlightning.study.stacked_trials import jobs, run
from gdlightning.study.statistics import compare
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload

DIVISOR, MIN_STEPS = 4, 240
"""Short runs have the steps of a full run divided by DIVISOR, but at least MIN_STEPS."""
PLAN = StudyPlan(trials=6, seeds=3, sweep=False)
DECADES = 2.0


@dataclass(frozen=True)
class ShortRunsResult:
    """Result of short runs.

    Attributes:
        optimizer: optimizer section of a config.
        words: description of the cost and confidence.
        steps: total optimizer steps.
    """

    optimizer: dict[str, Any]
    words: str
    steps: int


def measure(
    workload: Workload,
    candidates: Sequence[Mapping[str, Any]],
    schedule: Mapping[str, Any],
) -> ShortRunsResult:
    """Tune the learning rate of each candidate, then choose between them, on the validation split.

    Args:
        workload: task to measure on.
        candidates: optimizer sections of a config, with the recommended one first.
        schedule: learning-rate schedule.
    """
    short = replace(workload, steps=min(workload.steps, max(MIN_STEPS, workload.steps // DIVISOR)))
    rivals = [_candidate(c, schedule) for c in candidates]
    named, labelled = {short.name: short}, {c.label: c for c in rivals}
    spent: list[Trial] = []

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        spent.extend(trials)
        found = {
            t.key: o
            for job in jobs(trials, named, labelled)
            for t, o in zip(job, run(job, named, labelled), strict=True)
        }
        return [found[t.key] for t in trials]

    def score(outcome: TrialResult) -> float:
        return math.inf if outcome.failed else short.score(outcome.metrics)

    tuned: list[Tuned] = together([tune(short, c, PLAN) for c in rivals], evaluate)
    best = sorted(zip(rivals, tuned, strict=True), key=lambda pair: pair[1].score)[:2]
    scores = {}
    for own, found in best:
        seeds = [
            Trial(short.name, own.label, found.settings, short.steps, 1 + k, "baseline")
            for k in range(PLAN.seeds)
        ]
        scores[own.label] = [score(o) for o in evaluate(seeds)]
    label = min(scores, key=lambda k: fmean(scores[k]))
    ((own, found),) = [(c, t) for c, t in best if c.label == label]
    optimizer, _ = own.configured(found.settings)
    steps = sum(t.steps for t in spent)
    confidence = " ".join(d.words for d in compare(scores))
    words = (
        f"Measured with {len(spent)} runs of up to {short.steps:,} steps ({steps:,} steps in "
        f"total, {steps / workload.steps:.1f} times a full run): {label}, lr "
        f"{optimizer.get('lr', 0):.3g}. {confidence}"
    )
    return ShortRunsResult(optimizer, words.strip(), steps)


def _candidate(settings: Mapping[str, Any], schedule: Mapping[str, Any]) -> Candidate:
    lr = settings.get("lr")
    fixed = {k: v for k, v in settings.items() if k != "lr"}
    made = make_candidate(str(settings["name"]), fixed, schedule, tuned=("lr",))
    if not lr or "lr" not in made.space:
        return made
    half = 10 ** (DECADES / 2)
    return replace(made, space={"lr": Range(lr / half, lr * half)}, start={"lr": lr})
