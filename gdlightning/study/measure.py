"""A few short trainings that choose between candidates and refine the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from gdlightning.study.comparison import together
from gdlightning.study.search import Plan, Tuned, tune
from gdlightning.study.space import Contender, Range, contender
from gdlightning.study.statistics import compare
from gdlightning.study.together import jobs, run
from gdlightning.study.trial import Outcome, Trial
from gdlightning.study.workload import Workload

PART, LEAST = 4, 240
"""Short trainings have this part of the steps of a whole one, but no fewer than so many."""
PLAN = Plan(trials=6, seeds=3, sweep=False)
DECADES = 2.0


@dataclass(frozen=True)
class Measured:
    """What short trainings say.

    Attributes:
        optimizer: the section of a config.
        words: what was spent, and how sure it is.
        steps: optimizer steps that were spent.
    """

    optimizer: dict[str, Any]
    words: str
    steps: int


def measure(
    workload: Workload,
    candidates: Sequence[Mapping[str, Any]],
    schedule: Mapping[str, Any],
) -> Measured:
    """Choose the learning rate of each candidate, then between them, on the validation split.

    Args:
        workload: the task.
        candidates: sections of a config, the recommended one first.
        schedule: of the learning rate.
    """
    short = replace(workload, steps=min(workload.steps, max(LEAST, workload.steps // PART)))
    rivals = [_contender(c, schedule) for c in candidates]
    named, labelled = {short.name: short}, {c.label: c for c in rivals}
    spent: list[Trial] = []

    def evaluate(trials: list[Trial]) -> list[Outcome]:
        spent.extend(trials)
        found = {
            t.key: o
            for job in jobs(trials, named, labelled)
            for t, o in zip(job, run(job, named, labelled), strict=True)
        }
        return [found[t.key] for t in trials]

    def score(outcome: Outcome) -> float:
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
    sure = " ".join(d.words for d in compare(scores))
    words = (
        f"Measured with {len(spent)} trainings of up to {short.steps:,} steps, {steps:,} in all, "
        f"{steps / workload.steps:.1f} times a whole training: {label}, lr "
        f"{optimizer.get('lr', 0):.3g}. {sure}"
    )
    return Measured(optimizer, words.strip(), steps)


def _contender(candidate: Mapping[str, Any], schedule: Mapping[str, Any]) -> Contender:
    lr = candidate.get("lr")
    fixed = {k: v for k, v in candidate.items() if k != "lr"}
    made = contender(str(candidate["name"]), fixed, schedule, tuned=("lr",))
    if not lr or "lr" not in made.space:
        return made
    half = 10 ** (DECADES / 2)
    return replace(made, space={"lr": Range(lr / half, lr * half)}, start={"lr": lr})
