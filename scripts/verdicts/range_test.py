"""Evaluate how often the learning-rate range test is right, compared with Lightning's.

The good learning rates of small tasks are found on a grid with three per decade. A learning rate is
good if the final validation loss, averaged over the seeds, exceeds the best one by at most a tenth
of the best decrease. The good range surrounds the best learning rate, with interpolated ends. Range
tests use other seeds. Their parameters are fitted on all tasks except one and evaluated on that
one, in turn.

    python scripts/verdicts/range_test.py --png docs/pictures/lr-find.png
    python scripts/verdicts/range_test.py --quick
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from lightning.pytorch.tuner.lr_finder import _LRFinder
from range_cases import FIRST_SEED, KEPT, LENGTH, OPTIMIZERS, TASKS, TESTS, Row, measured

from gdlightning.drawing import style
from gdlightning.optimizers.registry import find
from gdlightning.range_test.suggestion import BACK, PART, SIDE, SIGN, Curve, at_part, read, smooth
from gdlightning.runs.quiet import quiet

LATER = ("encoder",)
"""Tasks that were added after the rule had been chosen."""
NEAR, STRICT = 0.1, 1.1
"""Good is above the best by this part of its gain; strictly, up to this many times the best."""
PARTS = [round(0.6 + 0.05 * k, 2) for k in range(8)]
BACKS, SIGNS = (1.0, 1.5, 2.0, 3.0), (1.0, 2.0, 3.0, 5.0)
HEAD = "| runs | in the good band | within half a decade | farthest, in decades |\n|" + "---|" * 5
HALF = 0.5
"""Half a decade, as a factor."""


@dataclass(frozen=True)
class Band:
    """Good learning rates as powers of ten; infinite where the grid ends before they do."""

    low: float
    high: float

    def off(self, lr: float | None) -> float:
        """Decades that a learning rate lies outside; infinite for none."""
        if not lr:
            return math.inf
        return max(0.0, self.low - math.log10(lr), math.log10(lr) - self.high)


def band(row: Row, strict: bool = False) -> Band:
    """Return the good range of a grid."""
    columns = zip(*row["loss"], strict=True)
    means = [math.inf if None in column else fmean(column) for column in columns]
    lrs = [math.log10(lr) for lr in row["lr"]]
    best = means.index(min(means))
    level = means[best] + NEAR * (row["untrained"] - means[best])
    if strict:
        level = STRICT * means[best]

    def end(side: int) -> float:
        k = best
        while 0 <= k + side < len(means) and means[k + side] <= level:
            k += side
        beyond = k + side
        if not 0 <= beyond < len(means):
            return side * math.inf
        steep = means[beyond] - means[k]
        way = 0.5 if math.isinf(steep) else (level - means[k]) / steep
        return lrs[k] + way * (lrs[beyond] - lrs[k])

    return Band(end(-1), end(1))


@dataclass(frozen=True)
class Case:
    """A range test with the good band of its task and optimizer."""

    row: Row
    band: Band
    strict: Band

    @cached_property
    def curve(self) -> Curve:
        """What the test measured."""
        loss = tuple(math.nan if v is None else v for v in self.row["loss"])
        return Curve(tuple(self.row["lr"]), loss, self.row["start"])

    @cached_property
    def at(self) -> dict[float, float]:
        """Where each part of the fall has happened."""
        return {part: at_part(self.curve, part) for part in {*PARTS, PART}}

    @cached_property
    def signs(self) -> bool:
        """Whether the optimizer's steps are of signs."""
        return find(self.row["optimizer"]).family == "sign"


def cases(found: Sequence[Row]) -> list[Case]:
    """Return all range tests."""
    grids = {(r["task"], r["optimizer"]): r for r in found if r["kind"] == "grid"}
    return [
        Case(
            r,
            band(grids[r["task"], r["optimizer"]]),
            band(grids[r["task"], r["optimizer"]], strict=True),
        )
        for r in found
        if r["kind"] == "test"
    ]


@dataclass(frozen=True)
class Rule:
    """How a curve is read: a part of the fall, and by what the learning rate there is divided."""

    part: float = PART
    back: float = BACK
    sign: float = SIGN

    def point(self, case: Case) -> float:
        """Of a range test."""
        return case.at[self.part] / (self.back * (self.sign if case.signs else 1))


def off(case: Case, rule: Rule) -> float:
    """Decades that a point lies outside the good band."""
    return case.band.off(rule.point(case))


def fitted(seen: Sequence[Case], rules: Sequence[Rule]) -> Rule:
    """The rule whose points lie in most bands; of several, outside by least."""

    def badness(rule: Rule) -> float:
        return fmean((d > 0) + min(d, 1.0) for d in (off(c, rule) for c in seen))

    return min(rules, key=badness)


def held_out(every: Sequence[Case], rules: Sequence[Rule]) -> dict[str, Rule]:
    """The rule for each task, fitted on all others."""
    tasks = dict.fromkeys(c.row["task"] for c in every)
    return {t: fitted([c for c in every if c.row["task"] != t] or every, rules) for t in tasks}


def line(name: str, off: Sequence[float]) -> str:
    """Return a row of a table."""
    inside, near = fmean(d == 0 for d in off), fmean(d <= HALF for d in off)
    worst = f"{max(off):.1f}" if math.isfinite(max(off)) else "none said"
    return f"| {name} | {len(off)} | {inside:.1%} | {near:.1%} | {worst} |"


def report(every: Sequence[Case]) -> None:
    """Print the tables."""
    two = held_out(every, [Rule(p, BACK, s) for p in PARTS for s in SIGNS])
    three = held_out(every, [Rule(p, b, s) for p in PARTS for b in BACKS for s in SIGNS])
    outs = [off(c, two[c.row["task"]]) for c in every]
    print(f"| point {HEAD}")
    print(line("part and sign held out by task", outs))
    print(line("part, sign and back held out", [off(c, three[c.row["task"]]) for c in every]))
    print(line("as shipped", [off(c, Rule()) for c in every]))
    print(
        line(
            "held out, in the strict band",
            [c.strict.off(two[c.row["task"]].point(c)) for c in every],
        )
    )
    noted = [bool(read(c.curve).notes) for c in every]
    _share("held out, nothing speaks against it", outs, [not n for n in noted])
    _share("held out, something does", outs, noted)
    _share("held out, the task that came later", outs, [c.row["task"] in LATER for c in every])
    print(line("Lightning's reading, same curve", [c.band.off(theirs(c.curve)) for c in every]))
    for key, words in {"lightning": "the same rates", "lightning's defaults": "its own"}.items():
        print(line(f"Lightning's test over {words}", [c.band.off(c.row[key]) for c in every]))
    for key in ("task", "optimizer"):
        print(f"\n| {key}, held out {HEAD}")
        for name in dict.fromkeys(c.row[key] for c in every):
            _share(name, outs, [c.row[key] == name for c in every])
    _ends(every)
    print(f"Without each task: {two}\nAll three: {three}")


def _share(name: str, outs: Sequence[float], which: Sequence[bool]) -> None:
    """Print a row for some of the tests."""
    if any(which):
        print(line(name, [d for d, own in zip(outs, which, strict=True) if own]))


def _ends(every: Sequence[Case]) -> None:
    points = [Rule().point(c) for c in every]
    low, high = (
        fmean(c.band.off(p * way) == 0 for c, p in zip(every, points, strict=True))
        for way in (1 / SIDE, SIDE)
    )
    widths = [c.band.high - c.band.low for c in every if math.isfinite(c.band.high - c.band.low)]
    print(f"\nThe range's lower end is in the good band in {low:.1%}, its upper end in {high:.1%}.")
    print(f"The good band is {fmean(widths):.1f} decades wide.")


def theirs(curve: Curve) -> float | None:
    """What Lightning's reading makes of a curve, evened as ours is."""
    losses = smooth(curve)
    finder: Any = _LRFinder("exponential", curve.lr[0], curve.lr[-1], len(losses))
    finder.results = {"lr": list(curve.lr[: len(losses)]), "loss": losses}
    found: float | None = finder.suggestion()
    return found


def draw(every: Sequence[Case], path: Path, optimizer: str = "adamw") -> None:
    """The first test of each task with its good band."""
    shown = [c for c in every if c.row["optimizer"] == optimizer and c.row["seed"] == FIRST_SEED]
    columns = min(5, len(shown))
    made, panels = style.figure(math.ceil(len(shown) / columns), columns, size=(3.2, 2.3))
    for panel, case in zip(panels, shown, strict=False):
        _panel(panel, case)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    made.supxlabel(f"learning rate of {optimizer}", fontsize=9, color=style.LIGHT.muted)
    made.supylabel("loss of the same batches", fontsize=9, color=style.LIGHT.muted)
    style.save(made, path)


def _panel(panel: Any, case: Case) -> None:
    curve, point = case.curve, Rule().point(case)
    fall = curve.start - min(v for v in curve.loss if math.isfinite(v))
    top = curve.start + 0.35 * fall
    seen = [min(v, 2 * top) if math.isfinite(v) else 2 * top for v in curve.loss]
    low, high = max(-6.0, case.band.low), min(1.0, case.band.high)
    panel.axvspan(10**low, 10**high, color=style.LIGHT.rule, alpha=0.55, linewidth=0)
    panel.axvspan(point / SIDE, point * SIDE, color=style.GOOD, alpha=0.28, linewidth=0)
    panel.axvline(point, color=style.GOOD, linewidth=1.3)
    panel.plot(curve.lr, seen, color=style.SERIES[0], linewidth=1.5)
    panel.set(
        xscale="log", xlim=(1e-6, 10), ylim=(top - 1.4 * fall, top), xticks=(1e-6, 1e-4, 1e-2, 1)
    )
    style.title(panel, case.row["task"])


def main() -> None:
    """Measure missing results, print the tables, and draw if requested."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--length", type=int, default=LENGTH, help="steps per run of the grid")
    parser.add_argument(
        "--tests", type=int, default=TESTS, help="range tests per task and optimizer"
    )
    parser.add_argument("--png", type=Path, help="file for a figure of the tests with adamw")
    parser.add_argument("--quick", action="store_true", help="two tasks, two optimizers, one test")
    given = parser.parse_args()
    quiet()
    tasks, optimizers = given.tasks.split(","), given.optimizers.split(",")
    length, tests = given.length, given.tests
    if given.quick:
        tasks, optimizers, length, tests = ["classification", "wine"], ["sgd", "adamw"], 60, 1
    every = cases(measured(tasks, optimizers, length, tests, KEPT / "range_test.jsonl"))
    report(every)
    if given.png:
        draw(every, given.png)


if __name__ == "__main__":
    main()
