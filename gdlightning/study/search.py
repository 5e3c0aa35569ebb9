"""The search for an optimizer's good settings, within a number of trials that is the same for all.

Half of the trials are spread over the space; the others follow in two waves, about the best so far
or, where that lies at the edge of its range, beyond it. Then successive halving (Jamieson and
Talwalkar 2016; Li et al. 2018): of short trainings the best third goes on to longer ones. Each
training goes through its whole schedule, since a loss on the way to the end of a longer one says
little of where it ends. Last come a few whole trainings at learning rates beside the best.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from gdlightning.study.space import Contender, Range, Settings, Space, Values, grown, narrowed
from gdlightning.study.trial import Outcome, Trial
from gdlightning.study.workload import Workload

FACTOR = 3
"""Between the lengths of the rungs, and the numbers of trials on them."""
SHORTEST = 100
"""Steps of a training on a shorter rung: below that, the best rate is another than at the end."""
PARTS = (0.5, 0.25)
"""Of the width of ranges, in the second and the third wave."""
APART = 1.3
"""Factor by which learning rates differ that are not nearly the same."""
SWEEP = tuple(10 ** (k / 2) for k in range(-3, 4))
"""Factors of the chosen learning rate that show how much depends on it."""


@dataclass(frozen=True)
class Plan:
    """How much is spent on each optimizer; the same for all.

    Args:
        trials: settings that are tried.
        seeds: fresh ones, for the verdict.
        sampler: ``quasi-random`` (Sobol) or ``tpe`` (Bergstra et al. 2011, by Optuna), for the
            waves after the first.
        halving: only the best go on from short trainings to longer ones.
        sweep: show how much depends on the learning rate.
        seed: of the search.
        level: of significance, and of the intervals (1 - level).
    """

    trials: int = 8
    seeds: int = 3
    sampler: Literal["quasi-random", "tpe"] = "quasi-random"
    halving: bool = True
    sweep: bool = True
    seed: int = 0
    level: float = 0.05

    def rungs(self, steps: int) -> list[tuple[int, int]]:
        """(trials, steps of each) from the first rung to the last."""
        if not self.halving:
            return [(self.trials, steps)]
        lengths = [s for s in (steps // FACTOR**2, steps // FACTOR) if s >= SHORTEST]
        short = [(math.ceil(self.trials / FACTOR**k), s) for k, s in enumerate(lengths)]
        return [*short, (1 if short else self.trials, steps)]

    def refinements(self, steps: int) -> int:
        """Whole trainings after the last rung, each at a learning rate beside the best."""
        return max(1, round(self.trials / 6) - 1) if len(self.rungs(steps)) > 1 else 0

    def waves(self) -> list[int]:
        """Trials of each wave of the first rung."""
        first = math.ceil(self.trials / 2)
        second = math.ceil((self.trials - first) / 2)
        return [n for n in (first, second, self.trials - first - second) if n]

    def cost(self, steps: int, lr: bool = True) -> int:
        """Optimizer steps for one optimizer on one workload, at most."""
        tuning = sum(n * s for n, s in self.rungs(steps)) + steps * self.refinements(steps)
        sweep = len(SWEEP) * self.sweep_steps(steps) if self.sweep and lr else 0
        return tuning + steps + sweep + self.seeds * steps

    def sweep_steps(self, steps: int) -> int:
        """Steps of a training of the sweep."""
        return max(min(steps, SHORTEST), steps // FACTOR)


@dataclass
class Tuned:
    """What the search found.

    Attributes:
        settings: the best, at full length.
        score: theirs, less is better; infinite where nothing could be trained.
        untuned: the score of the defaults at full length.
        space: as it was in the end.
        grown: option → its range at first and in the end, where it grew.
        at_edge: option → side, for those whose best value is at an end of what was tried all the
            same: -1 the smallest, 1 the largest.
    """

    settings: Settings
    score: float
    untuned: float
    space: Space
    grown: dict[str, tuple[Range, Range]] = field(default_factory=dict)
    at_edge: dict[str, int] = field(default_factory=dict)


Asked = Generator[list[Trial], list[Outcome], Any]
"""A program that asks for trials, and is sent their outcomes."""


def tune(
    workload: Workload, contender: Contender, plan: Plan
) -> Generator[list[Trial], list[Outcome], Tuned]:
    """Ask for trials until the settings are found.

    What it asks for depends on the outcomes alone, so that a program that is started again asks the
    same questions.
    """
    rungs = plan.rungs(workload.steps)
    space, seen = contender.space, list[tuple[Settings, float]]()
    if not space:
        rungs = rungs[-1:]

    def score(outcome: Outcome) -> float:
        return math.inf if outcome.failed else workload.score(outcome.metrics)

    def wanted(settings: Sequence[Settings], steps: int) -> list[Trial]:
        return [Trial(workload.name, contender.label, s, steps) for s in settings]

    for wave, count in enumerate(plan.waves() if space else [1]):
        space, points = _points(contender, space, seen, wave, count, plan)
        outcomes = yield wanted(points, rungs[0][1])
        seen += zip(points, map(score, outcomes), strict=True)
    ranked = sorted(seen, key=lambda s: s[1])
    for count, steps in rungs[1:]:
        kept = [s for s, found in ranked[:count] if math.isfinite(found)] or [ranked[0][0]]
        outcomes = yield wanted(kept, steps)
        ranked = sorted(zip(kept, map(score, outcomes), strict=True), key=lambda s: s[1])
    usual = contender.untuned
    baseline = Trial(workload.name, contender.label, usual, workload.steps, purpose="baseline")
    untuned = score((yield [baseline])[0])
    full = [*ranked, (usual, untuned)]
    for _ in range(plan.refinements(workload.steps) if "lr" in space else 0):
        beside = _beside(full)
        full.append((beside, score((yield wanted([beside], workload.steps))[0])))
    seen += full
    settings, best = min(full, key=lambda s: s[1])
    return Tuned(
        settings,
        best,
        untuned,
        space,
        _grown(contender.space, space),
        _edges(space, settings, [s for s, _ in seen]),
    )


def sweep(workload: Workload, contender: Contender, chosen: Settings, plan: Plan) -> list[Trial]:
    """Trials at other learning rates than the chosen one, the chosen one among them."""
    if not plan.sweep or not chosen.get("lr"):
        return []
    return [
        Trial(
            workload.name,
            contender.label,
            {**chosen, "lr": float(f"{chosen['lr'] * f:.4g}")},
            plan.sweep_steps(workload.steps),
            purpose="sweep",
        )
        for f in SWEEP
    ]


def verdict(workload: Workload, contender: Contender, chosen: Settings, plan: Plan) -> list[Trial]:
    """Trainings with the chosen settings from seeds that the search did not see."""
    return [
        Trial(workload.name, contender.label, chosen, workload.steps, 1 + k, "verdict")
        for k in range(plan.seeds)
    ]


def _points(
    contender: Contender,
    space: Space,
    seen: Sequence[tuple[Settings, float]],
    wave: int,
    count: int,
    plan: Plan,
) -> tuple[Space, list[Settings]]:
    """The settings of a wave, and the space, which may have grown for it.

    The same parts of their spaces are tried of all optimizers, so that none is luckier.
    """
    if wave == 0:
        return space, [contender.untuned, *_spread(space, count - 1, plan.seed)]
    best, found = min(seen, key=lambda s: s[1])
    region = narrowed(space, best, PARTS[wave - 1])
    side = extreme([s["lr"] for s, _ in seen], best["lr"]) if "lr" in space else 0
    if not math.isfinite(found):
        side = -1  # nothing learns: the rates are too large
    if side and isinstance(space["lr"], Range):
        further = contender.space["lr"].beyond(best["lr"], side)  # type: ignore[union-attr]
        space = grown(space, "lr", further)
        return space, _spread({**region, "lr": further}, count, plan.seed + wave)
    if plan.sampler == "tpe":
        return space, _suggested(space, seen, count, plan.seed + wave)
    return space, _spread(region, count, plan.seed + wave)


def _beside(full: Sequence[tuple[Settings, float]]) -> Settings:
    """The best of whole trainings with another learning rate.

    Longer trainings want smaller rates, mostly, so the best of the short ones is not yet it. Half
    a decade below the best, where nothing much smaller was trained in full, or above it, where
    nothing much larger was; else half-way to the better neighbour.
    """
    best, _ = min(full, key=lambda s: s[1])
    lr = best["lr"]
    below = [(s["lr"], v) for s, v in full if s["lr"] < lr / APART]
    above = [(s["lr"], v) for s, v in full if s["lr"] > lr * APART]
    if not below:
        near = lr / 10
    elif not above:
        near = lr * 10
    else:
        near, _ = min((max(below), min(above)), key=lambda point: point[1])
    return {**best, "lr": float(f"{math.sqrt(lr * near):.4g}")}


def _spread(space: Space, count: int, seed: int) -> list[Settings]:
    """Points that leave no large part of a space empty (Sobol 1967; scrambled, Owen 1998)."""
    if not space or count < 1:
        return []
    engine = torch.quasirandom.SobolEngine(len(space), scramble=True, seed=seed)
    return [
        {k: place.at(float(p)) for (k, place), p in zip(space.items(), point, strict=True)}
        for point in engine.draw(count)
    ]


def _suggested(
    space: Space, seen: Sequence[tuple[Settings, float]], count: int, seed: int
) -> list[Settings]:
    """Points where the tree-structured Parzen estimator expects the most."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    places: dict[str, optuna.distributions.BaseDistribution] = {
        k: optuna.distributions.FloatDistribution(p.low, p.high, log=True)
        if isinstance(p, Range)
        else optuna.distributions.CategoricalDistribution(list(range(len(p.values))))
        for k, p in space.items()
    }
    worst = max((s for _, s in seen if math.isfinite(s)), default=0.0)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=0))
    found: list[Settings] = []
    for settings, score in seen:
        study.add_trial(_told(optuna, space, places, settings, score, worst))
    for _ in range(count):
        params = study.ask(places).params
        point = {
            k: float(f"{params[k]:.4g}") if isinstance(p, Range) else p.values[params[k]]
            for k, p in space.items()
        }
        found.append(point)
        # What is not known yet counts as bad, so that the next point lies elsewhere.
        study.add_trial(_told(optuna, space, places, point, worst, worst))
    return found


def _told(
    optuna: Any,
    space: Space,
    places: Mapping[str, Any],
    settings: Settings,
    score: float,
    worst: float,
) -> Any:
    params = {}
    for key, place in space.items():
        value = settings[key]
        if isinstance(place, Values):
            params[key] = place.values.index(value) if value in place.values else 0
        else:
            params[key] = min(max(value, place.low), place.high)
    value = score if math.isfinite(score) else worst + abs(worst) + 1
    return optuna.trial.create_trial(params=params, distributions=dict(places), value=value)


def _grown(first: Space, last: Space) -> dict[str, tuple[Range, Range]]:
    found = {}
    for key, place in first.items():
        now = last[key]
        if isinstance(place, Range) and isinstance(now, Range) and now != place:
            found[key] = (place, now)
    return found


def _edges(space: Space, chosen: Settings, tried: Sequence[Settings]) -> dict[str, int]:
    """What the search may not have been let far enough of; a weight decay of next to 0 is 0."""
    edges = {k: p.edge(chosen[k]) for k, p in space.items() if isinstance(p, Range)}
    if "lr" in edges:
        edges["lr"] = extreme([s["lr"] for s in tried], chosen["lr"])
    edges = {k: side for k, side in edges.items() if side}
    if edges.get("weight_decay") == -1:
        del edges["weight_decay"]
    return edges


def extreme(tried: Sequence[float], value: float) -> int:
    """-1 where nothing smaller was tried, 1 where nothing larger was, 0 else."""
    if min(tried) == max(tried):
        return 0
    return -1 if value <= min(tried) else 1 if value >= max(tried) else 0
