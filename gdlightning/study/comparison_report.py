"""Report of a comparison: a self-contained HTML page, with figures and JSON next to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from gdlightning.drawing import page as html
from gdlightning.drawing.style import LIGHT, Theme, save
from gdlightning.storage.atomic_write import write_json, write_text
from gdlightning.study import figures
from gdlightning.study.comparison import Comparison
from gdlightning.study.comparison_result import ComparisonResult, Ranking, Row, listed
from gdlightning.study.statistics import small
from gdlightning.study.trial import Trial, TrialResult

STYLE = """<style>
p.verdict { font-size: 1.15rem; max-width: 52rem; }
details { margin: .8rem 0; } summary { cursor: pointer; color: var(--accent); }
td.first { font-weight: 600; }
</style>"""


def write(
    folder: Path,
    comparison: Comparison,
    found: ComparisonResult,
    command: str,
    versions: Mapping[str, str],
) -> None:
    """Write ``report.html`` and ``report.json``, and figures once the study is complete.

    Args:
        folder: output folder.
        comparison: comparison, complete or in progress.
        found: findings of the comparison.
        command: command that reproduces the study.
        versions: versions of Python and libraries.
    """
    write_json(folder / "report.json", record(comparison, found, command, versions))
    colour = figures.colours(list(comparison.candidates))
    write_text(folder / "report.html", _page(comparison, found, command, versions, colour))
    if found.done:
        for name, draw in _drawings(found, colour).items():
            save(draw(LIGHT), folder / f"{name}.png")


def record(
    comparison: Comparison, found: ComparisonResult, command: str, versions: Mapping[str, str]
) -> dict[str, Any]:
    """Return all numbers and trials as plain values."""
    trials = [
        {**asdict(t), "key": t.key, **asdict(o)}
        for course in comparison.courses.values()
        for t, o in course.trials
    ]
    return {
        "done": found.done,
        "command": command,
        "versions": dict(versions),
        "plan": asdict(comparison.plan),
        **asdict(found),
        "trials": trials,
    }


def table(ranking: Ranking) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a ranking as text."""
    header = [
        "optimizer",
        ranking.metric,
        "good lr",
        "steps to target",
        "seconds",
        "state",
        "chosen settings",
    ]
    return header, [_cells(row) for row in ranking.rows]


def _cells(row: Row) -> list[str]:
    steps, _ = row.to_target
    wide = f"×{row.sensitivity.width:.3g}" if row.sensitivity else "–"
    return [
        row.label,
        shown(row.value),
        wide,
        f"{steps:,.0f}" if math.isfinite(steps) else "never",
        f"{row.seconds:.3g}",
        size(row.state_bytes),
        settings(row.settings),
    ]


def shown(value: Any) -> str:
    """Format a mean with half the width of its interval."""
    if not math.isfinite(value.mean):
        return "failed"
    half = (value.high - value.low) / 2
    return f"{value.mean:.4g} ± {half:.2g}" if math.isfinite(half) else f"{value.mean:.4g}"


def settings(given: Mapping[str, Any]) -> str:
    """Format settings in one line."""
    return ", ".join(
        f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in given.items()
    )


def size(count: int) -> str:
    """Format a number of bytes."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count} B"
        count = count / 1024  # type: ignore[assignment]
    return f"{count:.3g} GiB"


def _page(
    comparison: Comparison,
    found: ComparisonResult,
    command: str,
    versions: Mapping[str, str],
    colour: Mapping[str, str],
) -> str:
    plan, names = comparison.plan, list(comparison.candidates)
    parts = [] if found.done else [html.paragraph(_progress(comparison))]
    for ranking in found.rankings:
        parts += _section(ranking, comparison, colour)
    if found.profiles:
        parts += _profiles(found, colour)
    parts += _tried(comparison)
    parts += ["<h2>Method</h2>", *map(html.paragraph, _method(comparison))]
    parts += ["<h2>Command</h2>", html.code(command)]
    parts.append(html.paragraph(", ".join(f"{k} {v}" for k, v in versions.items())))
    lead = (
        f"{listed(names)} on {listed(list(comparison.workloads))}: {plan.trials} settings per "
        f"optimizer, {plan.seeds} new seeds for the verdict."
    )
    return html.page("Comparison of optimizers", *parts, lead=lead, head=STYLE)


def _progress(comparison: Comparison) -> str:
    made = sum(t.steps for c in comparison.courses.values() for t, _ in c.trials)
    return (
        f"This study is in progress: {made:,} of at most {comparison.steps:,} optimizer steps. "
        "Optimizers appear below once their verdict is available."
    )


def _section(ranking: Ranking, comparison: Comparison, colour: Mapping[str, str]) -> list[str]:
    several = len(comparison.workloads) > 1
    parts = [f"<h2>{html.escape(ranking.workload if several else 'Verdict')}</h2>"]
    if not ranking.rows:
        return [*parts, html.paragraph("No results yet.")]
    if ranking.words:
        parts.append(f'<p class="verdict">{html.escape(ranking.words[0])}</p>')
    parts.append(html.table(*table(ranking)))
    parts.append(html.paragraph(_legend(ranking)))
    parts.append(
        html.picture(
            partial(figures.draw_ranking, ranking, colour),
            f"{ranking.metric} of each optimizer, with confidence intervals",
            "Dots: seeds. Diamonds: means. Lines: 95% confidence intervals of the means.",
        )
    )
    notes = [f"{row.label}: {note}." for row in ranking.rows for note in row.notes]
    if notes:
        parts.append("<ul>" + "".join(f"<li>{html.escape(n)}</li>" for n in notes) + "</ul>")
    if len(ranking.words) > 1:
        lines = "".join(f"<li>{html.escape(w)}</li>" for w in ranking.words[1:])
        count = len(ranking.differences)
        parts.append(
            f"<details open><summary>All pairs, corrected for {count} comparisons"
            f"</summary><ul>{lines}</ul></details>"
        )
    parts.append("<h3>Training</h3>")
    parts.append(
        html.picture(
            partial(figures.draw_curves, ranking, colour),
            f"{ranking.tuned_for} over steps and seconds",
            "Means over seeds, with bands from the best to the worst seed. Dashed: target. Each "
            "run completes its schedule, so only the end of a curve counts.",
        )
    )
    if any(row.sensitivity for row in ranking.rows):
        steps = comparison.plan.sweep_steps(ranking.steps)
        parts.append("<h3>Sensitivity to the learning rate</h3>")
        parts.append(
            html.picture(
                partial(figures.draw_sensitivity, ranking, colour),
                f"{ranking.tuned_for} over the learning rate",
                f"The chosen settings with other learning rates, in runs of {steps:,} steps. The "
                "bars at the bottom, and the ratios in brackets, show the range of learning rates "
                "that lose at most 5% of the improvement from the untrained model to the best.",
            )
        )
    return parts


def _legend(ranking: Ranking) -> str:
    target = f"{ranking.target:.4g}" if math.isfinite(ranking.target) else "none"
    return (
        f"{ranking.metric} on the test split after {ranking.steps:,} steps, with the 95% "
        f"confidence interval of the mean. Target: {ranking.tuned_for} {target} on the validation "
        "split. Good lr: ratio of the largest to the smallest good learning rate. Seconds: time "
        "of a full-length run. State: memory of the optimizer's state."
    )


def _profiles(found: ComparisonResult, colour: Mapping[str, str]) -> list[str]:
    rows = [[k, v] for k, v in sorted(found.scores.items(), key=lambda kv: -kv[1])]
    return [
        "<h2>All workloads</h2>",
        html.picture(
            partial(figures.draw_profiles, found, colour),
            "performance profiles",
            "Fraction of workloads on which an optimizer reaches the target in at most τ times the "
            "steps of the fastest optimizer (Dolan and Moré 2002).",
        ),
        html.table(["optimizer", "area under the profile"], rows),
    ]


def _tried(comparison: Comparison) -> list[str]:
    parts, failed = ["<h2>Trials</h2>"], []
    for (workload, label), course in comparison.courses.items():
        rows = [_trial(comparison, t, o) for t, o in course.trials]
        failed += [
            [workload, label, settings(t.settings), f"{t.steps:,}", o.failed]
            for t, o in course.trials
            if o.failed
        ]
        head = [
            "purpose",
            "settings",
            "steps",
            "seed",
            comparison.workloads[workload].metric,
            "stacked",
        ]
        spent = sum(t.steps for t, _ in course.trials)
        parts.append(
            f"<details><summary>{html.escape(label)} on {html.escape(workload)}: {len(rows)} "
            f"runs, {spent:,} steps</summary>{html.table(head, rows)}</details>"
        )
    parts.append("<h2>Failed runs</h2>")
    head = ["workload", "optimizer", "settings", "steps", "reason"]
    parts.append(html.table(head, failed) if failed else html.paragraph("None."))
    return parts


def _trial(comparison: Comparison, trial: Trial, outcome: TrialResult) -> list[object]:
    metric = comparison.workloads[trial.workload].metric
    value = "failed" if outcome.failed else f"{outcome.metrics.get(metric, math.nan):.4g}"
    return [
        trial.purpose,
        settings(trial.settings),
        f"{trial.steps:,}",
        str(trial.seed),
        value,
        str(outcome.stacked),
    ]


def _method(comparison: Comparison) -> Sequence[str]:
    plan = comparison.plan
    rungs = {
        w.name: ", then ".join(f"{n} of {s:,} steps" for n, s in plan.rungs(w.steps))
        for w in comparison.workloads.values()
    }
    same = "; ".join(f"{name}: {text}" for name, text in rungs.items())
    return [
        "Each optimizer was tuned with the same budget on the validation split, with these runs: "
        f"{same}. The default settings were among the trials. The best settings at full length "
        "were used for the verdict.",
        f"The verdict uses {plan.seeds} seeds and a test split that tuning did not use, the same "
        "for all optimizers. Differences are tested by paired t-tests over seeds with Holm's "
        f"correction, at a significance level of {small(plan.level)}.",
        "The verdict only holds for the settings found: another search may find better ones.",
    ]


def _drawings(
    found: ComparisonResult, colour: Mapping[str, str]
) -> dict[str, Callable[[Theme], Any]]:
    drawn: dict[str, Callable[[Theme], Any]] = {}
    for ranking in found.rankings:
        end = f"_{ranking.workload}" if len(found.rankings) > 1 else ""
        drawn[f"ranking{end}"] = partial(figures.draw_ranking, ranking, colour)
        drawn[f"training{end}"] = partial(figures.draw_curves, ranking, colour)
        if any(row.sensitivity for row in ranking.rows):
            drawn[f"learning_rate{end}"] = partial(figures.draw_sensitivity, ranking, colour)
    if found.profiles:
        drawn["profiles"] = partial(figures.draw_profiles, found, colour)
    return drawn


def in_columns(found: ComparisonResult) -> str:
    """Return the rankings as text for a terminal."""
    lines: list[str] = []
    for ranking in found.rankings:
        header, rows = table(ranking)
        if len(found.rankings) > 1:
            lines += [f"{ranking.workload}:"]
        widths = [max(len(r[k]) for r in (header, *rows)) for k in range(len(header))]
        for row in (header, *rows):
            cells = zip(row, widths, strict=True)
            lines.append("  ".join(c.ljust(w) for c, w in cells).rstrip())
        lines += ["", *ranking.words]
        lines += [f"{r.label}: {note}." for r in ranking.rows for note in r.notes] + [""]
    for label, score in sorted(found.scores.items(), key=lambda kv: -kv[1]):
        lines.append(f"{label}: area under its performance profile {score:.2f}")
    return "\n".join(lines)
