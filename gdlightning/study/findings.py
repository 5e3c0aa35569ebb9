"""What a comparison found, in figures and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from gdlightning.study.comparison import Comparison, Course
from gdlightning.study.profiles import area, profiles
from gdlightning.study.sensitivity import Sensitivity, sensitivity
from gdlightning.study.statistics import Difference, Interval, compare, interval, number


@dataclass(frozen=True)
class Row:
    """One optimizer on one workload.

    Attributes:
        label: of the optimizer.
        settings: that were chosen.
        value: the test metric over seeds.
        values: of each seed; NaN where it failed.
        untuned: the validation metric with the defaults, of the search's seed.
        tuned: the same with the chosen settings.
        to_target: (steps, seconds) to the target, the median over seeds; infinite if never.
        seconds: of a whole training, the median.
        state_bytes: of the optimizer's state.
        memory: peak of allocated bytes on a GPU; 0 on a CPU.
        sensitivity: to the learning rate.
        tried: settings that were tried.
        spent: steps of all its trainings.
        failed: trainings that failed, of all.
        notes: what a reader should know of its tuning.
        curves: (step, seconds, validation metric) under way, a list for each seed.
    """

    label: str
    settings: Mapping[str, Any]
    value: Interval
    values: list[float]
    untuned: float
    tuned: float
    to_target: tuple[float, float]
    seconds: float
    state_bytes: int
    memory: int
    sensitivity: Sensitivity | None
    tried: int
    spent: int
    failed: int
    notes: list[str]
    curves: list[list[tuple[int, float, float]]]


@dataclass(frozen=True)
class Ranking:
    """All optimizers on one workload, the best first.

    Attributes:
        workload: its name.
        metric: of the figures.
        tuned_for: the metric of the search.
        higher: whether more is better.
        steps: of a whole training.
        target: of the validation metric, for the steps to it.
        untrained: the validation metric before training.
        rows: of those that have a verdict.
        differences: of all pairs.
        words: the verdict.
    """

    workload: str
    metric: str
    tuned_for: str
    higher: bool
    steps: int
    target: float
    untrained: float
    rows: list[Row]
    differences: list[Difference]
    words: list[str]


@dataclass(frozen=True)
class Findings:
    """All that a report shows.

    Attributes:
        rankings: by workload.
        profiles: label → corners of its performance profile, over several workloads.
        scores: label → the area under it.
        done: whether the study is whole.
    """

    rankings: list[Ranking]
    profiles: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    done: bool = True


def findings(comparison: Comparison, targets: Mapping[str, float] | None = None) -> Findings:
    """Draw the conclusions.

    Args:
        comparison: whole or under way.
        targets: workload → validation metric to be reached; the best of the untuned if not given.
    """
    rankings = [_ranking(comparison, name, targets or {}) for name in comparison.workloads]
    if len(rankings) < 2 or not comparison.done:
        return Findings(rankings, done=comparison.done)
    times: dict[str, dict[str, float]] = {label: {} for label in comparison.contenders}
    for ranking in rankings:
        for row in ranking.rows:
            times[row.label][ranking.workload] = row.to_target[0]
    found = profiles(times)
    return Findings(rankings, found, {k: area(p) for k, p in found.items()}, comparison.done)


def _ranking(comparison: Comparison, name: str, targets: Mapping[str, float]) -> Ranking:
    workload = comparison.workloads[name]
    sign = -1.0 if workload.higher else 1.0
    courses = {
        label: comparison.courses[name, label]
        for label in comparison.contenders
        if comparison.courses.get((name, label), Course()).verdict
    }
    tuned = [c.tuned for c in courses.values() if c.tuned]
    untuned = min((t.untuned for t in tuned), default=math.inf)
    target = sign * targets[name] if name in targets else untuned
    scores = {
        label: [
            math.inf if o.failed else workload.score(o.metrics, workload.test_metric)
            for _, o in c.verdict
        ]
        for label, c in courses.items()
    }
    rows = [
        _row(comparison, label, course, scores[label], sign, target, comparison.untrained[name])
        for label, course in courses.items()
    ]
    rows.sort(key=lambda r: fmean(scores[r.label]))
    ordered = {r.label: scores[r.label] for r in rows}
    differences = compare(ordered, comparison.plan.level)
    return Ranking(
        name,
        workload.test_metric,
        workload.metric,
        workload.higher,
        workload.steps,
        sign * target,
        sign * comparison.untrained[name],
        rows,
        differences,
        _verdict(rows, differences),
    )


def _row(
    comparison: Comparison,
    label: str,
    course: Course,
    scores: Sequence[float],
    sign: float,
    target: float,
    untrained: float,
) -> Row:
    outcomes = [o for _, o in course.verdict]
    values = [sign * s if math.isfinite(s) else math.nan for s in scores]
    points = [(t.settings["lr"], comparison.score(t, o)) for t, o in course.sweep]
    found, tuned = sensitivity(points, untrained), course.tuned
    assert tuned is not None
    return Row(
        label=label,
        settings=tuned.settings,
        value=interval(values, comparison.plan.level),
        values=values,
        untuned=sign * tuned.untuned,
        tuned=sign * tuned.score,
        to_target=_to_target(outcomes, sign, target),
        seconds=median(o.seconds for o in outcomes),
        state_bytes=max(o.state_bytes for o in outcomes),
        memory=max(o.memory for o in outcomes),
        sensitivity=found,
        tried=len({str(t.settings) for t, _ in course.trials if t.purpose == "tuning"}),
        spent=sum(t.steps for t, _ in course.trials),
        failed=sum(bool(o.failed) for _, o in course.trials),
        notes=_notes(tuned),
        curves=[o.curve for o in outcomes],
    )


def _to_target(outcomes: Sequence[Any], sign: float, target: float) -> tuple[float, float]:
    reached = [
        next(((s, t) for s, t, v in o.curve if sign * v <= target), (math.inf, math.inf))
        for o in outcomes
    ]
    return median(s for s, _ in reached), median(t for _, t in reached)


ENDS = {-1: "smallest", 1: "largest"}


def _notes(tuned: Any) -> list[str]:
    notes = [
        f"the range of {k} grew from {a.low:.3g}–{a.high:.3g} to {b.low:.3g}–{b.high:.3g}"
        for k, (a, b) in tuned.grown.items()
    ]
    notes += [
        f"the best {k}, {tuned.settings[k]:.3g}, is about the {ENDS[side]} that was tried: "
        "a better one may lie beyond"
        for k, side in tuned.at_edge.items()
    ]
    if not math.isfinite(tuned.score):
        notes.append("no setting that was tried could be trained")
    return notes


def _verdict(rows: Sequence[Row], differences: Sequence[Difference]) -> list[str]:
    """Who is best, as far as the tests show."""
    if len(rows) < 2:
        return []
    leader = rows[0].label
    seeds = number(len(rows[0].values))
    beside = [d for d in differences if leader in (d.first, d.second)]
    behind = [d.second for d in beside if d.shown and d.first == leader]
    level = [r.label for r in rows[1:] if r.label not in behind]
    if not level:
        head = f"{leader} is best: better than {listed(behind)}."
    elif not behind:
        head = f"No difference that {seeds} seeds can show between {listed([leader, *level])}."
        same = [d for d in differences if d.shown]
        if same:
            head = f"{leader} leads; no difference to {listed(level)} that {seeds} seeds can show."
    else:
        head = (
            f"{leader} leads: better than {listed(behind)}; no difference to {listed(level)} "
            f"that {seeds} seeds can show."
        )
    return [head, *(d.words for d in differences)]


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
