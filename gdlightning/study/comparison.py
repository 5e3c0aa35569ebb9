"""A fair comparison: the same tuning budget for each optimizer, fresh seeds for the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gdlightning.study.search import Plan, Tuned, sweep, tune, verdict
from gdlightning.study.space import Contender
from gdlightning.study.trial import Outcome, Trial
from gdlightning.study.workload import Workload

Evaluate = Callable[[list[Trial]], list[Outcome]]
Program = Generator[list[Trial], list[Outcome], Any]


@dataclass
class Course:
    """What is known of one optimizer on one workload.

    Attributes:
        tuned: what the search found; None while it goes on.
        sweep: (trial, outcome) at other learning rates.
        verdict: (trial, outcome) from fresh seeds.
        trials: (trial, outcome) of all that was asked for, in that order.
    """

    tuned: Tuned | None = None
    sweep: list[tuple[Trial, Outcome]] = field(default_factory=list)
    verdict: list[tuple[Trial, Outcome]] = field(default_factory=list)
    trials: list[tuple[Trial, Outcome]] = field(default_factory=list)


@dataclass
class Comparison:
    """A study, whole or under way.

    Attributes:
        plan: what is spent on each.
        workloads: by name.
        contenders: by label.
        courses: (workload, label) → what is known.
        untrained: workload → score before training.
        done: whether all is known.
    """

    plan: Plan
    workloads: Mapping[str, Workload]
    contenders: Mapping[str, Contender]
    courses: dict[tuple[str, str], Course] = field(default_factory=dict)
    untrained: dict[str, float] = field(default_factory=dict)
    done: bool = False

    def score(self, trial: Trial, outcome: Outcome) -> float:
        """Of the validation split, less is better; infinite for what failed."""
        workload = self.workloads[trial.workload]
        return math.inf if outcome.failed else workload.score(outcome.metrics)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole study, at most."""
        return sum(
            self.plan.cost(w.steps, "lr" in c.space)
            for w in self.workloads.values()
            for c in self.contenders.values()
        )


def compare(
    workloads: Sequence[Workload],
    contenders: Sequence[Contender],
    plan: Plan,
    evaluate: Evaluate,
    show: Callable[[Comparison], None] = lambda _: None,
) -> Comparison:
    """Compare optimizers on workloads.

    It asks ``evaluate`` for the trials of all of them together, round by round, and each question
    follows from the answers before: whoever keeps the answers can be stopped and started again.

    Args:
        workloads: what they are compared on.
        contenders: the optimizers.
        plan: what is spent on each.
        evaluate: gives the outcomes of trials, in their order.
        show: is called after each round.
    """
    found = Comparison(plan, {w.name: w for w in workloads}, {c.label: c for c in contenders})
    starts = [Trial(w.name, "", {}, 0, purpose="start") for w in workloads]
    for trial, outcome in zip(starts, evaluate(starts), strict=True):
        found.untrained[trial.workload] = found.score(trial, outcome)
    programs: list[Program] = []
    for workload in workloads:
        for contender in contenders:
            course = found.courses[workload.name, contender.label] = Course()
            programs.append(_program(workload, contender, plan, course))
    together(programs, evaluate, lambda: show(found))
    found.done = True
    show(found)
    return found


def together(
    programs: Sequence[Program],
    evaluate: Evaluate,
    after: Callable[[], None] = lambda: None,
) -> list[Any]:
    """Run programs that ask for trials, all their questions of a round at once.

    Returns:
        What each returns.
    """
    results: list[Any] = [None] * len(programs)
    asked: dict[int, list[Trial]] = {}

    def go_on(k: int, answer: list[Outcome] | None) -> None:
        try:
            asked[k] = next(programs[k]) if answer is None else programs[k].send(answer)
        except StopIteration as end:
            results[k] = end.value
            asked.pop(k, None)

    for k in range(len(programs)):
        go_on(k, None)
    while asked:
        wanted = dict(asked)
        answers = evaluate([t for trials in wanted.values() for t in trials])
        for k, trials in wanted.items():
            own, answers = answers[: len(trials)], answers[len(trials) :]
            go_on(k, own)
        after()
    return results


def _program(workload: Workload, contender: Contender, plan: Plan, course: Course) -> Program:
    """Tune, then show how much depends on the learning rate, then the verdict."""
    course.tuned = yield from _kept(tune(workload, contender, plan), course)
    chosen = course.tuned.settings
    swept = sweep(workload, contender, chosen, plan)
    seeds = verdict(workload, contender, chosen, plan)
    answers = yield [*swept, *seeds]
    course.trials += zip([*swept, *seeds], answers, strict=True)
    course.sweep = list(zip(swept, answers[: len(swept)], strict=True))
    course.verdict = list(zip(seeds, answers[len(swept) :], strict=True))


def _kept(program: Generator[list[Trial], list[Outcome], Tuned], course: Course) -> Program:
    """A program whose trials are noted."""
    answer: list[Outcome] | None = None
    while True:
        try:
            asked = next(program) if answer is None else program.send(answer)
        except StopIteration as end:
            return end.value
        answer = yield asked
        course.trials += zip(asked, answer, strict=True)
