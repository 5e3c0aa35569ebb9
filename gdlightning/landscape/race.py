"""Optimizers on a test function, each from the same start, by the steps to a minimum."""

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
from gdlightning.landscape.functions import Function
from gdlightning.landscape.runner import EPOCHS, Runner, walk
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.options import options
from gdlightning.optimizers.registry import find, installed
from gdlightning.schedules import Schedule
from gdlightning.schedules.scheduler import Scheduler

LRS = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Learning rates that are tried where the best one is asked for."""
UNFIT = {
    "matrices": "it steps on matrices alone, and a point is a vector of two numbers",
    "marked groups": "it steps on matrices; a vector it leaves to an Adam of its own",
    "sparse": "it takes sparse gradients alone",
    "model": "it is built from the layers of a net",
}
"""Needs that a point can't meet, and why."""


@dataclass(frozen=True)
class Track:
    """The way of one optimizer.

    Args:
        optimizer: its name.
        lr: its peak learning rate; None where it has none.
        tuned: whether that is the best of ``LRS``.
        points: where it stood, float64, shape [steps + 1, 2]; fewer where it diverged.
        values: of the function there, without noise, shape [steps + 1].
        gradients: evaluations of the gradient until each of them, int64, shape [steps + 1].
        arrived: the first step from which on it stayed near a minimum; None if it never did.
        distance: from the nearest minimum, at the end.
        diverged: whether it left for infinity.
        strayed: whether it left the function's domain on the way.
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
        """Lower is better: the steps, then the distance at the end."""
        far = math.inf if math.isnan(self.distance) or self.diverged else self.distance
        return (math.inf if self.arrived is None else self.arrived, far)

    @property
    def choice(self) -> tuple[float, ...]:
        """Lower is a better learning rate: it arrives, keeps to the domain, takes few steps."""
        return (self.arrived is None, self.strayed, *self.rank)


def unfit(entry: Entry) -> str:
    """Why an optimizer can't be raced on a point; empty for one that can."""
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
    """The way of one optimizer on a test function.

    Args:
        function: it begins at its ``start``.
        optimizer: by name; its other options are the defaults.
        steps: that it makes.
        lr: a peak learning rate; ``default`` for the optimizer's own; ``tuned`` for that of ``LRS``
            with the fewest steps, from among those that keep to the domain if any arrives. An
            optimizer that estimates its learning rate itself keeps its default.
        schedule: a name, or a mapping with ``name``, ``warmup`` and options.
        seed: of the noise, and of the optimizer's own random numbers.

    Raises:
        UserError: it can't be raced, or not with these settings.
    """
    entry = find(optimizer)
    why = unfit(entry)
    if why:
        raise UserError(f"{entry.name} can't be raced: {why}.")
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
        warnings.simplefilter("ignore")  # of libraries, about settings
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
    """A learning rate among an optimizer's options; its base has it where itself has none."""
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
        return made.scheduler(optimizer, steps, max(1, steps // EPOCHS))
    if made.name != "constant" or made.warmup_steps(steps):
        raise UserError(f"{entry.name} can't be raced so: it has no learning rate to schedule.")
    return None


def _arrival(function: Function, distances: Tensor) -> int | None:
    """The first step from which on all are near."""
    away = torch.nonzero(distances > function.near).flatten()
    first = int(away[-1]) + 1 if len(away) else 0
    return first if first < len(distances) else None
