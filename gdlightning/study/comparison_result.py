"""Findings of a comparison, as numbers and text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from gdlightning.study.comparison import Comparison, TuningCurve
from gdlightning.study.performance_profiles import area, profiles
from gdlightning.study.sensitivity import Sensitivity, sensitivity
from gdlightning.study.statistics import Difference, Interval, compare, interval, number


@dataclass(frozen=True)
class Row:
    """Results of one optimizer on one workload.

    Attributes:
        label: label of the optimizer.
        settings: chosen settings.
        value: test metric over seeds.
        values: test metric per seed; NaN for failed runs.
        untuned: validation metric with default settings, with the seed of the search.
        tuned: validation metric with the chosen settings, with the seed of the search.
        to_target: median (steps, seconds) to the target; infinite if not reached.
        seconds: median time of a full-length run, in seconds.
        state_bytes: size of the optimizer's state, in bytes.
        memory: peak of allocated GPU memory, in bytes; 0 on a CPU.
        sensitivity: sensitivity to the learning rate.
        tried: number of settings tried.
        spent: optimizer steps of all runs.
        failed: number of failed runs.
        notes: remarks on the tuning.
        curves: (step, seconds, validation metric) during training, per seed.
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
    """Results of all optimizers on one workload, best first.

    Attributes:
        workload: name of the workload.
        metric: name of the test metric.
        tuned_for: name of the validation metric.
        higher: whether higher values are better.
        steps: optimizer steps of a full-length run.
        target: target of the validation metric.
        untrained: validation metric before training.
        rows: optimizers with a verdict.
        differences: pairwise differences.
        words: verdict as text.
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
class ComparisonResult:
    """Contents of a report.

    Attributes:
        rankings: rankings by workload.
        profiles: corners of the performance profile by label, for several workloads.
        scores: area under the performance profile by label.
        done: whether the study is complete.
    """

    rankings: list[Ranking]
    profiles: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    done: bool = True


def comparison_result(
    comparison: Comparison, targets: Mapping[str, float] | None = None
) -> ComparisonResult:
    """Evaluate a comparison.

    Args:
        comparison: comparison, complete or in progress.
        targets: target of the validation metric by workload; by default, the best result with
            default settings.
    """
    rankings = [_ranking(comparison, name, targets or {}) for name in comparison.workloads]
    if len(rankings) < 2 or not comparison.done:
        return ComparisonResult(rankings, done=comparison.done)
    times: dict[str, dict[str, float]] = {label: {} for label in comparison.candidates}
    for ranking in rankings:
        for row in ranking.rows:
            times[row.label][ranking.workload] = row.to_target[0]
    found = profiles(times)
    return ComparisonResult(
        rankings, found, {k: area(p) for k, p in found.items()}, comparison.done
    )


def _ranking(comparison: Comparison, name: str, targets: Mapping[str, float]) -> Ranking:
    workload = comparison.workloads[name]
    sign = -1.0 if workload.higher else 1.0
    courses = {
        label: comparison.courses[name, label]
        for label in comparison.candidates
        if comparison.courses.get((name, label), TuningCurve()).verdict
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
    course: TuningCurve,
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
        f"the range of {k} was extended from {a.low:.3g}–{a.high:.3g} to {b.low:.3g}–{b.high:.3g}"
        for k, (a, b) in tuned.grown.items()
    ]
    notes += [
        f"the best {k}, {tuned.settings[k]:.3g}, is close to the {ENDS[side]} value that was "
        "tried, so a better value may lie beyond"
        for k, side in tuned.at_edge.items()
    ]
    if not math.isfinite(tuned.score):
        notes.append("all settings failed")
    return notes


def _verdict(rows: Sequence[Row], differences: Sequence[Difference]) -> list[str]:
    """Return the verdict as text, within what the tests support."""
    if len(rows) < 2:
        return []
    leader = rows[0].label
    seeds = number(len(rows[0].values))
    pairs = [d for d in differences if leader in (d.first, d.second)]
    behind = [d.second for d in pairs if d.shown and d.first == leader]
    level = [r.label for r in rows[1:] if r.label not in behind]
    if not level:
        head = f"{leader} is best: significantly better than {listed(behind)}."
    elif not behind:
        head = f"No significant difference between {listed([leader, *level])} with {seeds} seeds."
        if any(d.shown for d in differences):
            head = (
                f"{leader} leads, but is not significantly better than {listed(level)} "
                f"with {seeds} seeds."
            )
    else:
        head = (
            f"{leader} leads: significantly better than {listed(behind)}, but not than "
            f"{listed(level)} with {seeds} seeds."
        )
    return [head, *(d.words for d in differences)]


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
