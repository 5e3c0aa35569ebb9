"""Number of trials and steps that fit into a time budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gdlightning.errors import UserError
from gdlightning.study.search import SWEEP, StudyPlan
from gdlightning.study.space import Candidate
from gdlightning.study.stacked_trials import run
from gdlightning.study.trial import Trial
from gdlightning.study.workload import Workload

TRIALS = (32, 24, 16, 12, 8, 6, 4)
MIN_STEPS = 30
"""Minimum steps of a run that is worth comparing."""
PROBES = (10, 40)
"""Steps of two runs whose difference gives the time per step."""


@dataclass(frozen=True)
class Cost:
    """Time of one optimizer on one workload, in seconds.

    Args:
        training: time of a run in addition to its steps.
        step: time per step.
    """

    training: float
    step: float


def measure(workload: Workload, candidate: Candidate) -> Cost:
    """Measure the cost with two short runs.

    Raises:
        UserError: if a run fails.
    """
    import time

    seconds = []
    for steps in (PROBES[0], *PROBES):  # the first run is a warm-up
        began = time.perf_counter()
        trial = Trial(workload.name, candidate.label, candidate.untuned, steps, purpose="baseline")
        (outcome,) = run([trial], {workload.name: workload}, {candidate.label: candidate})
        if outcome.failed:
            raise UserError(f"{candidate.label} cannot be trained: {outcome.failed}")
        seconds.append(time.perf_counter() - began)
    step = max(0.0, seconds[2] - seconds[1]) / (PROBES[1] - PROBES[0])
    return Cost(max(0.0, seconds[1] - step * PROBES[0]), step)


def fit(
    plan: StudyPlan, steps: Sequence[int], costs: Sequence[Sequence[Cost]], seconds: float
) -> tuple[StudyPlan, float]:
    """Return the plan with the most trials that fit, and a factor of the steps, 1 if possible.

    Args:
        plan: plan whose other settings are kept.
        steps: steps of a full-length run on each workload.
        costs: costs of all optimizers on each workload.
        seconds: total time of all workers.

    Raises:
        UserError: if even the shortest study does not fit.
    """
    factor = 1.0
    while min(steps) * factor >= MIN_STEPS:
        for trials in TRIALS:
            tried = replace(plan, trials=trials)
            if needed(tried, [int(s * factor) for s in steps], costs) <= seconds:
                return tried, factor
        factor /= 1.25
    least = needed(replace(plan, trials=TRIALS[-1]), [MIN_STEPS] * len(steps), costs)
    raise UserError(
        f"--budget of {seconds:.0f} seconds is too short: {TRIALS[-1]} trials of {MIN_STEPS} steps "
        f"and {plan.seeds} seeds take about {least:.0f}.\n"
        "Increase it, or use fewer optimizers or seeds."
    )


def needed(plan: StudyPlan, steps: Sequence[int], costs: Sequence[Sequence[Cost]]) -> float:
    """Return the time of a study in seconds, without the speedup of stacked runs."""
    total = 0.0
    for length, row in zip(steps, costs, strict=True):
        trainings = sum(n for n, _ in plan.rungs(length)) + 1 + plan.seeds
        trainings += len(SWEEP) if plan.sweep else 0
        total += sum(c.training * trainings + c.step * plan.cost(length) for c in row)
    return total
