"""Races of optimizers on a test function, ranked by steps to a minimum."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.options import options
from gdlightning.optimizers.registry import find, installed
from gdlightning.races.race_runner import EPOCHS, Runner, walk
from gdlightning.races.test_functions import Function
from gdlightning.schedules import Schedule
from gdlightning.schedules.scheduler import Scheduler

LRS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Learning rates to choose from with ``tuned``."""
UNFIT = {
    "matrices": "it only trains matrices, and a point is a vector of two numbers",
    "marked groups": "it trains matrices, and vectors only with a built-in Adam",
    "sparse": "it only accepts sparse gradients",
    "model": "it is constructed from the layers of a network",
}
"""Needs that a point cannot meet, with the reason."""


@dataclass(frozen=True)
class Track:
    """Trajectory of one optimizer.

    Args:
        optimizer: name of the optimizer.
        lr: peak learning rate; None if it has none.
        tuned: whether ``lr`` was chosen from ``LRS``.
        points: point after each step, float64 [steps + 1, 2]; fewer if it diverged.
        values: values of the function without noise, [steps + 1].
        gradients: cumulative number of gradient evaluations, int64 [steps + 1].
        arrived: first step from which it stays near a minimum; None if it never does.
        distance: final distance from the nearest minimum.
        diverged: whether it diverged.
        strayed: whether it left the domain of the function.
    """

    optimizer: str
    lr: float | None
    tuned: bool
    points: Tensor
    values: Tensor
    gradients: Tensor
    arrived: int | None
    distance: float
    diverged: bool
    strayed: bool

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key of the ranking, lower is better: steps, then final distance."""
        far = math.inf if math.isnan(self.distance) or self.diverged else self.distance
        return (math.inf if self.arrived is None else self.arrived, far)

    @property
    def choice(self) -> tuple[float, ...]:
        """Sort key of the tuning, lower is better: converges, stays in the domain, few steps."""
        return (self.arrived is None, self.strayed, *self.rank)


def unfit(entry: Entry) -> str:
    """Return why an optimizer cannot be raced; empty if it can."""
    if entry.refused:
        return entry.refused
    if not installed(entry):
        return f"{entry.package} is not installed"
    if entry.device and not torch.cuda.is_available():
        return "it needs a GPU"
    return next((why for need, why in UNFIT.items() if need in entry.needs), "")


def race(
    function: Function,
    optimizer: str,
    *,
    steps: int = 500,
    lr: float | str = "tuned",
    schedule: str | Mapping[str, Any] = "constant",
    seed: int = 0,
) -> Track:
    """Run one optimizer on a test function.

    Args:
        function: test function, which sets the start.
        optimizer: name; other options have their defaults.
        steps: number of steps.
        lr: peak learning rate; ``default`` for that of the optimizer; ``tuned`` for the one in
            ``LRS`` with the fewest steps, preferring those that stay in the domain. Optimizers that
            estimate their learning rate keep their default.
        schedule: name, or mapping with ``name``, ``warmup`` and options.
        seed: seed of the noise and of the optimizer's random numbers.

    Returns:
        The trajectory.

    Raises:
        UserError: if the optimizer or the settings are not supported.
    """
    entry = find(optimizer)
    why = unfit(entry)
    if why:
        raise UserError(f"{entry.name} cannot be raced: {why}.")
    own = Choice.of(entry.name).value("lr")
    rates: Sequence[float | None] = [own if own is None or isinstance(lr, str) else lr]
    if lr == "tuned" and own is not None and not entry.lr_free:
        rates = LRS
    best: Track | None = None
    for rate in rates:
        beaten = None if best is None or best.strayed else best.arrived
        track = _run(function, entry, rate, steps, schedule, seed, len(rates) > 1, beaten)
        if best is None or track.choice < best.choice:
            best = track
    assert best is not None
    return best


def _run(
    function: Function,
    entry: Entry,
    lr: float | None,
    steps: int,
    schedule: str | Mapping[str, Any],
    seed: int,
    tuned: bool,
    beaten: int | None,
) -> Track:
    choice = Choice.of({"name": entry.name} | _rate(entry, lr))
    runner = Runner(function, seed, "second-order" in choice.needs)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries warn about settings
        torch.manual_seed(seed)
        optimizer, _ = build(choice, runner, Grouping(), Context(steps=steps))
        scheduler = _scheduled(optimizer, schedule, entry, steps)
        points, gradients = walk(
            runner, optimizer, "modes" in choice.needs, scheduler, steps, beaten
        )
    values = function.value(points[:, 0], points[:, 1])
    distances = function.distance(points)
    diverged = len(points) <= steps
    return Track(
        entry.name,
        lr,
        tuned,
        points,
        values,
        gradients,
        None if diverged else _arrival(function, distances),
        float(distances[-1]),
        diverged,
        not bool(function.holds(points).all()),
    )


def _rate(entry: Entry, lr: float | None) -> dict[str, Any]:
    """Return the options that set a learning rate, of the base if the optimizer itself has none."""
    if lr is None:
        return {}
    base = Choice.of(entry.name).base
    if base is None or "lr" in options(entry):
        return {"lr": lr}
    return {"base": {"name": base.entry.name, "lr": lr}}


def _scheduled(
    optimizer: Optimizer, schedule: str | Mapping[str, Any], entry: Entry, steps: int
) -> Scheduler | None:
    given = {"name": schedule} if isinstance(schedule, str) else dict(schedule)
    made = Schedule(**given)
    if all("lr" in group for group in optimizer.param_groups):
        return Scheduler(optimizer, made, steps, max(1, steps // EPOCHS))
    if made.name != "constant" or made.warmup_steps(steps):
        raise UserError(f"{entry.name} cannot be raced with a schedule: it has no learning rate.")
    return None


def _arrival(function: Function, distances: Tensor) -> int | None:
    """Return the first step from which all points are near a minimum."""
    away = torch.nonzero(distances > function.near).flatten()
    first = int(away[-1]) + 1 if len(away) else 0
    return first if first < len(distances) else None
