"""Search for good settings of an optimizer, with the same number of trials for all optimizers.

Half of the trials are spread over the search space. The others follow in two waves, around the best
settings so far, or beyond them if they are at the edge of their range. Successive halving (Jamieson
and Talwalkar 2016; Li et al. 2018) continues the best third of short runs with longer ones. Each
run completes its schedule, because the loss halfway through a longer schedule says little about its
end. Finally, a few full-length runs try learning rates next to the best.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from gdlightning.study.space import Candidate, Range, Settings, Space, Values, grown, narrowed
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload

REDUCTION = 3
"""Ratio of the lengths of successive rungs, and of their numbers of trials."""
MIN_RUNG_STEPS = 100
"""Minimum steps of a run on a lower rung; the best learning rate of shorter runs differs."""
WAVE_WIDTHS = (0.5, 0.25)
"""Width of the search ranges in the second and third wave, relative to the full range."""
DISTINCT = 1.3
"""Ratio above which two learning rates count as different."""
SWEEP = tuple(10 ** (k / 2) for k in range(-3, 4))
"""Multiples of the chosen learning rate for measuring the sensitivity to it."""


@dataclass(frozen=True)
class StudyPlan:
    """Budget per optimizer, equal for all.

    Args:
        trials: number of settings to try.
        seeds: number of new seeds for the verdict.
        sampler: sampler of the waves after the first: ``quasi-random`` (Sobol), or ``tpe``
            (Bergstra et al. 2011, from Optuna).
        halving: whether to use successive halving.
        sweep: whether to measure the sensitivity to the learning rate.
        seed: seed of the search.
        level: significance level; intervals have level 1 - ``level``.
    """

    trials: int = 8
    seeds: int = 3
    sampler: Literal["quasi-random", "tpe"] = "quasi-random"
    halving: bool = True
    sweep: bool = True
    seed: int = 0
    level: float = 0.05

    def rungs(self, steps: int) -> list[tuple[int, int]]:
        """Return (trials, steps per trial) of each rung, in order."""
        if not self.halving:
            return [(self.trials, steps)]
        lengths = [s for s in (steps // REDUCTION**2, steps // REDUCTION) if s >= MIN_RUNG_STEPS]
        short = [(math.ceil(self.trials / REDUCTION**k), s) for k, s in enumerate(lengths)]
        return [*short, (1 if short else self.trials, steps)]

    def refinements(self, steps: int) -> int:
        """Return the number of full-length runs that refine the learning rate at the end."""
        return max(1, round(self.trials / 6) - 1) if len(self.rungs(steps)) > 1 else 0

    def waves(self) -> list[int]:
        """Return the number of trials of each wave on the first rung."""
        first = math.ceil(self.trials / 2)
        second = math.ceil((self.trials - first) / 2)
        return [n for n in (first, second, self.trials - first - second) if n]

    def cost(self, steps: int, lr: bool = True) -> int:
        """Return the maximum optimizer steps for one optimizer on one workload."""
        tuning = sum(n * s for n, s in self.rungs(steps)) + steps * self.refinements(steps)
        sweep = len(SWEEP) * self.sweep_steps(steps) if self.sweep and lr else 0
        return tuning + steps + sweep + self.seeds * steps

    def sweep_steps(self, steps: int) -> int:
        """Return the steps of a run of the sweep."""
        return max(min(steps, MIN_RUNG_STEPS), steps // REDUCTION)


@dataclass
class Tuned:
    """Result of a search.

    Attributes:
        settings: best settings at full length.
        score: their score, lower is better; infinite if all runs failed.
        untuned: score of the defaults at full length.
        space: final search space.
        grown: initial and final range of each option whose range grew.
        at_edge: options whose best value is the smallest (-1) or largest (1) that was tried.
    """

    settings: Settings
    score: float
    untuned: float
    space: Space
    grown: dict[str, tuple[Range, Range]] = field(default_factory=dict)
    at_edge: dict[str, int] = field(default_factory=dict)


Asked = Generator[list[Trial], list[TrialResult], Any]
"""Generator that yields trials and receives their outcomes."""


def tune(
    workload: Workload, candidate: Candidate, plan: StudyPlan
) -> Generator[list[Trial], list[TrialResult], Tuned]:
    """Yield trials until the best settings are found.

    Trials depend only on earlier outcomes, so a restarted search yields the same trials.
    """
    rungs = plan.rungs(workload.steps)
    space, seen = candidate.space, list[tuple[Settings, float]]()
    if not space:
        rungs = rungs[-1:]

    def score(outcome: TrialResult) -> float:
        return math.inf if outcome.failed else workload.score(outcome.metrics)

    def wanted(settings: Sequence[Settings], steps: int) -> list[Trial]:
        return [Trial(workload.name, candidate.label, s, steps) for s in settings]

    for wave, count in enumerate(plan.waves() if space else [1]):
        space, points = _points(candidate, space, seen, wave, count, plan)
        outcomes = yield wanted(points, rungs[0][1])
        seen += zip(points, map(score, outcomes), strict=True)
    ranked = sorted(seen, key=lambda s: s[1])
    for count, steps in rungs[1:]:
        kept = [s for s, found in ranked[:count] if math.isfinite(found)] or [ranked[0][0]]
        outcomes = yield wanted(kept, steps)
        ranked = sorted(zip(kept, map(score, outcomes), strict=True), key=lambda s: s[1])
    usual = candidate.untuned
    baseline = Trial(workload.name, candidate.label, usual, workload.steps, purpose="baseline")
    untuned = score((yield [baseline])[0])
    full = [*ranked, (usual, untuned)]
    for _ in range(plan.refinements(workload.steps) if "lr" in space else 0):
        refined = _refined(full)
        full.append((refined, score((yield wanted([refined], workload.steps))[0])))
    seen += full
    settings, best = min(full, key=lambda s: s[1])
    return Tuned(
        settings,
        best,
        untuned,
        space,
        _grown(candidate.space, space),
        _edges(space, settings, [s for s, _ in seen]),
    )


def sweep(
    workload: Workload, candidate: Candidate, chosen: Settings, plan: StudyPlan
) -> list[Trial]:
    """Return trials at multiples of the chosen learning rate, including the chosen one."""
    if not plan.sweep or not chosen.get("lr"):
        return []
    return [
        Trial(
            workload.name,
            candidate.label,
            {**chosen, "lr": float(f"{chosen['lr'] * f:.4g}")},
            plan.sweep_steps(workload.steps),
            purpose="sweep",
        )
        for f in SWEEP
    ]


def verdict(
    workload: Workload, candidate: Candidate, chosen: Settings, plan: StudyPlan
) -> list[Trial]:
    """Return runs with the chosen settings and seeds that the search did not use."""
    return [
        Trial(workload.name, candidate.label, chosen, workload.steps, 1 + k, "verdict")
        for k in range(plan.seeds)
    ]


def _points(
    candidate: Candidate,
    space: Space,
    seen: Sequence[tuple[Settings, float]],
    wave: int,
    count: int,
    plan: StudyPlan,
) -> tuple[Space, list[Settings]]:
    """Return the search space, which may have grown, and the settings of a wave.

    All optimizers are tried at the same relative positions of their spaces, so that none is
    luckier.
    """
    if wave == 0:
        return space, [candidate.untuned, *_spread(space, count - 1, plan.seed)]
    best, found = min(seen, key=lambda s: s[1])
    region = narrowed(space, best, WAVE_WIDTHS[wave - 1])
    side = extreme([s["lr"] for s, _ in seen], best["lr"]) if "lr" in space else 0
    if not math.isfinite(found):
        side = -1  # all runs failed, so learning rates are too large
    if side and isinstance(space["lr"], Range):
        further = candidate.space["lr"].beyond(best["lr"], side)  # type: ignore[union-attr]
        space = grown(space, "lr", further)
        return space, _spread({**region, "lr": further}, count, plan.seed + wave)
    if plan.sampler == "tpe":
        return space, _suggested(space, seen, count, plan.seed + wave)
    return space, _spread(region, count, plan.seed + wave)


def _refined(full: Sequence[tuple[Settings, float]]) -> Settings:
    """Return the best full-length settings with a different learning rate.

    The best learning rate of short runs is usually too large for longer runs. The new one is half a
    decade below the best if no clearly smaller one was tried at full length, half a decade above if
    no clearly larger one was tried, and otherwise halfway to the better neighbour.
    """
    best, _ = min(full, key=lambda s: s[1])
    lr = best["lr"]
    below = [(s["lr"], v) for s, v in full if s["lr"] < lr / DISTINCT]
    above = [(s["lr"], v) for s, v in full if s["lr"] > lr * DISTINCT]
    if not below:
        near = lr / 10
    elif not above:
        near = lr * 10
    else:
        near, _ = min((max(below), min(above)), key=lambda point: point[1])
    return {**best, "lr": float(f"{math.sqrt(lr * near):.4g}")}


def _spread(space: Space, count: int, seed: int) -> list[Settings]:
    """Return evenly distributed points of a space (Sobol 1967; scrambled, Owen 1998)."""
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
    """Return points suggested by the tree-structured Parzen estimator."""
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
        study.add_trial(_frozen_trial(optuna, space, places, settings, score, worst))
    for _ in range(count):
        params = study.ask(places).params
        point = {
            k: float(f"{params[k]:.4g}") if isinstance(p, Range) else p.values[params[k]]
            for k, p in space.items()
        }
        found.append(point)
        # Pending points count as bad, so that the next point is elsewhere.
        study.add_trial(_frozen_trial(optuna, space, places, point, worst, worst))
    return found


def _frozen_trial(
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
    """Return options whose best value is at the edge; a weight decay near 0 does not count."""
    edges = {k: p.edge(chosen[k]) for k, p in space.items() if isinstance(p, Range)}
    if "lr" in edges:
        edges["lr"] = extreme([s["lr"] for s in tried], chosen["lr"])
    edges = {k: side for k, side in edges.items() if side}
    if edges.get("weight_decay") == -1:
        del edges["weight_decay"]
    return edges


def extreme(tried: Sequence[float], value: float) -> int:
    """Return -1 if nothing smaller was tried, 1 if nothing larger was tried, otherwise 0."""
    if min(tried) == max(tried):
        return 0
    return -1 if value <= min(tried) else 1 if value >= max(tried) else 0
