"""From a time to the numbers of trials and steps that fit into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gdlightning.errors import UserError
from gdlightning.study.search import SWEEP, Plan
from gdlightning.study.space import Contender
from gdlightning.study.together import run
from gdlightning.study.trial import Trial
from gdlightning.study.workload import Workload

TRIALS = (32, 24, 16, 12, 8, 6, 4)
SHORTEST = 30
"""Steps of the shortest training that is worth comparing."""
PROBES = (10, 40)
"""Steps of the two trainings whose difference tells what a step costs."""


@dataclass(frozen=True)
class Cost:
    """Of one optimizer on one workload, in seconds.

    Args:
        training: of a training beside its steps.
        step: of a step.
    """

    training: float
    step: float


def measure(workload: Workload, contender: Contender) -> Cost:
    """Train twice for a moment.

    Raises:
        UserError: it can't be trained.
    """
    import time

    seconds = []
    for steps in (PROBES[0], *PROBES):  # the first warms up
        began = time.perf_counter()
        trial = Trial(workload.name, contender.label, contender.untuned, steps, purpose="baseline")
        (outcome,) = run([trial], {workload.name: workload}, {contender.label: contender})
        if outcome.failed:
            raise UserError(f"{contender.label} can't be trained: {outcome.failed}")
        seconds.append(time.perf_counter() - began)
    step = max(0.0, seconds[2] - seconds[1]) / (PROBES[1] - PROBES[0])
    return Cost(max(0.0, seconds[1] - step * PROBES[0]), step)


def fit(
    plan: Plan, steps: Sequence[int], costs: Sequence[Sequence[Cost]], seconds: float
) -> tuple[Plan, float]:
    """The plan with as many trials as fit, and the factor of the steps, 1 unless none would.

    Args:
        plan: whose seeds and the like stay.
        steps: of a whole training on each workload.
        costs: of each workload, those of its optimizers.
        seconds: of all work, which workers share.

    Raises:
        UserError: not even the shortest study fits.
    """
    factor = 1.0
    while min(steps) * factor >= SHORTEST:
        for trials in TRIALS:
            tried = replace(plan, trials=trials)
            if needed(tried, [int(s * factor) for s in steps], costs) <= seconds:
                return tried, factor
        factor /= 1.25
    least = needed(replace(plan, trials=TRIALS[-1]), [SHORTEST] * len(steps), costs)
    raise UserError(
        f"--budget: {seconds:.0f} seconds are too few: {TRIALS[-1]} trials of {SHORTEST} steps and "
        f"{plan.seeds} seeds take about {least:.0f}.\nGive more time, or fewer optimizers or seeds."
    )


def needed(plan: Plan, steps: Sequence[int], costs: Sequence[Sequence[Cost]]) -> float:
    """Seconds of a study, stacked runs not counted."""
    total = 0.0
    for length, row in zip(steps, costs, strict=True):
        trainings = sum(n for n, _ in plan.rungs(length)) + 1 + plan.seeds
        trainings += len(SWEEP) if plan.sweep else 0
        total += sum(c.training * trainings + c.step * plan.cost(length) for c in row)
    return total
