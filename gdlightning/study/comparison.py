"""Fair comparison: equal tuning budget for each optimizer, and new seeds for the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gdlightning.study.search import StudyPlan, Tuned, sweep, tune, verdict
from gdlightning.study.space import Candidate
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload

Evaluate = Callable[[list[Trial]], list[TrialResult]]
Program = Generator[list[Trial], list[TrialResult], Any]


@dataclass
class TuningCurve:
    """Results of one optimizer on one workload.

    Attributes:
        tuned: result of the search; None until it completes.
        sweep: (trial, outcome) at different learning rates.
        verdict: (trial, outcome) with new seeds.
        trials: (trial, outcome) of all trials in order.
    """

    tuned: Tuned | None = None
    sweep: list[tuple[Trial, TrialResult]] = field(default_factory=list)
    verdict: list[tuple[Trial, TrialResult]] = field(default_factory=list)
    trials: list[tuple[Trial, TrialResult]] = field(default_factory=list)


@dataclass
class Comparison:
    """Study, complete or in progress.

    Attributes:
        plan: budget per optimizer.
        workloads: workloads by name.
        candidates: optimizers by label.
        courses: results by (workload, label).
        untrained: score before training by workload.
        done: whether the study is complete.
    """

    plan: StudyPlan
    workloads: Mapping[str, Workload]
    candidates: Mapping[str, Candidate]
    courses: dict[tuple[str, str], TuningCurve] = field(default_factory=dict)
    untrained: dict[str, float] = field(default_factory=dict)
    done: bool = False

    def score(self, trial: Trial, outcome: TrialResult) -> float:
        """Return the validation score, lower is better; infinite for failed runs."""
        workload = self.workloads[trial.workload]
        return math.inf if outcome.failed else workload.score(outcome.metrics)

    @property
    def steps(self) -> int:
        """Maximum optimizer steps of the whole study."""
        return sum(
            self.plan.cost(w.steps, "lr" in c.space)
            for w in self.workloads.values()
            for c in self.candidates.values()
        )


def compare(
    workloads: Sequence[Workload],
    candidates: Sequence[Candidate],
    plan: StudyPlan,
    evaluate: Evaluate,
    show: Callable[[Comparison], None] = lambda _: None,
) -> Comparison:
    """Compare optimizers on workloads.

    ``evaluate`` is called with the trials of all optimizers, round by round. Trials depend only on
    earlier outcomes, so a study can be resumed if the outcomes are stored.

    Args:
        workloads: workloads of the comparison.
        candidates: optimizers to compare.
        plan: budget per optimizer.
        evaluate: function from trials to their outcomes, in order.
        show: callback after each round.

    Returns:
        The complete comparison.
    """
    found = Comparison(plan, {w.name: w for w in workloads}, {c.label: c for c in candidates})
    starts = [Trial(w.name, "", {}, 0, purpose="start") for w in workloads]
    for trial, outcome in zip(starts, evaluate(starts), strict=True):
        found.untrained[trial.workload] = found.score(trial, outcome)
    programs: list[Program] = []
    for workload in workloads:
        for candidate in candidates:
            course = found.courses[workload.name, candidate.label] = TuningCurve()
            programs.append(_program(workload, candidate, plan, course))
    together(programs, evaluate, lambda: show(found))
    found.done = True
    show(found)
    return found


def together(
    programs: Sequence[Program],
    evaluate: Evaluate,
    after: Callable[[], None] = lambda: None,
) -> list[Any]:
    """Run several generators of trials, evaluating their trials of a round together.

    Args:
        programs: generators that yield trials and receive their outcomes.
        evaluate: function from trials to their outcomes, in order.
        after: callback after each round.

    Returns:
        The return value of each generator.
    """
    results: list[Any] = [None] * len(programs)
    asked: dict[int, list[Trial]] = {}

    def advance(k: int, answer: list[TrialResult] | None) -> None:
        try:
            asked[k] = next(programs[k]) if answer is None else programs[k].send(answer)
        except StopIteration as end:
            results[k] = end.value
            asked.pop(k, None)

    for k in range(len(programs)):
        advance(k, None)
    while asked:
        wanted = dict(asked)
        answers = evaluate([t for trials in wanted.values() for t in trials])
        for k, trials in wanted.items():
            own, answers = answers[: len(trials)], answers[len(trials) :]
            advance(k, own)
        after()
    return results


def _program(
    workload: Workload, candidate: Candidate, plan: StudyPlan, course: TuningCurve
) -> Program:
    """Tune, measure the sensitivity to the learning rate, and run the verdict."""
    course.tuned = yield from _recorded(tune(workload, candidate, plan), course)
    chosen = course.tuned.settings
    swept = sweep(workload, candidate, chosen, plan)
    seeds = verdict(workload, candidate, chosen, plan)
    answers = yield [*swept, *seeds]
    course.trials += zip([*swept, *seeds], answers, strict=True)
    course.sweep = list(zip(swept, answers[: len(swept)], strict=True))
    course.verdict = list(zip(seeds, answers[len(swept) :], strict=True))


def _recorded(
    program: Generator[list[Trial], list[TrialResult], Tuned], course: TuningCurve
) -> Program:
    """Run a search and record its trials."""
    answer: list[TrialResult] | None = None
    while True:
        try:
            asked = next(program) if answer is None else program.send(answer)
        except StopIteration as end:
            return end.value
        answer = yield asked
        course.trials += zip(asked, answer, strict=True)
