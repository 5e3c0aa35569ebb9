"""The time budget of ``gdl compare``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from gdlightning.callbacks.stop_conditions import seconds_of
from gdlightning.runs.comparison_progress import say
from gdlightning.storage.typed_rows import mismatch
from gdlightning.study import budget
from gdlightning.study.search import StudyPlan
from gdlightning.study.space import Candidate
from gdlightning.study.store import Store
from gdlightning.study.workload import Workload


class _StoredPlan(TypedDict):
    """Trials per optimizer, and steps per run of each workload."""

    trials: int
    steps: list[int]


def plan_within_budget(
    given: argparse.Namespace,
    plan: StudyPlan,
    workloads: Sequence[Workload],
    candidates: Sequence[Candidate],
    store: Store,
    new: Path | None,
) -> StudyPlan:
    """Return the plan that fits into ``--budget``, and shorten the workloads accordingly.

    Args:
        given: options of the command line.
        plan: plan without a budget.
        workloads: workloads, whose number of steps is set.
        candidates: candidates, whose costs are measured.
        store: store of the study; it is removed if no plan fits.
        new: folder of the study if it was just created; it is removed as well.

    Raises:
        UserError: if the budget is too small.
    """
    try:
        return _within_budget(given, plan, workloads, candidates, store)
    except BaseException:  # the budget is too small, or the study was stopped
        if store.forget() and new:
            with contextlib.suppress(OSError):  # it contains other files
                new.rmdir()
        raise


def _within_budget(
    given: argparse.Namespace,
    plan: StudyPlan,
    workloads: Sequence[Workload],
    candidates: Sequence[Candidate],
    store: Store,
) -> StudyPlan:
    """Return the stored plan of a study that resumes, or measure the costs and store a new one."""
    stored = store.kept("plan")
    if mismatch(stored, _StoredPlan) or len(stored["steps"]) != len(workloads):
        seconds = (seconds_of(given.budget) or 0.0) * given.workers
        costs = [[budget.measure(w, c) for c in candidates] for w in workloads]
        plan, factor = budget.fit(plan, [w.steps for w in workloads], costs, seconds)
        stored = {"trials": plan.trials, "steps": [int(w.steps * factor) for w in workloads]}
        store.keep("plan", stored)
    lengths = [w.steps for w in workloads]
    for made, steps in zip(workloads, stored["steps"], strict=True):
        made.steps = steps
    if not given.follow:
        shorter = f", runs of {stored['steps']} steps instead of {lengths}"
        say(
            f"{given.budget}: {stored['trials']} trials per optimizer"
            f"{shorter if stored['steps'] != lengths else ''}."
        )
    return replace(plan, trials=stored["trials"])
