"""A decay with a warm-up in front: the factor of the peak learning rate by optimizer step."""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gdlightning.discovery import import_path, modules
from gdlightning.errors import UserError, did_you_mean, fold

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from gdlightning.schedules.scheduler import Scheduler

PACKAGE = "gdlightning.schedules"
NOT_SCHEDULES = {"schedule", "scheduler", "picture"}
ENDLESS = {"constant", "inverse_sqrt", "reduce_on_plateau"}

_registered: dict[str, Callable[..., Any]] = {}


def register_schedule(decay: Callable[..., float]) -> Callable[..., float]:
    """Make a function (step, total, options) → factor known by its name; a decorator."""
    _registered[decay.__name__] = decay
    return decay


def names() -> list[str]:
    """All names, sorted."""
    return sorted({*modules(PACKAGE), *_registered} - NOT_SCHEDULES)


def find(name: str) -> Callable[..., Any]:
    """The decay of a name in any spelling, or of a dotted path.

    Raises:
        UserError: there is none; the message has the nearest.
    """
    for own, decay in _registered.items():
        if fold(own) == fold(name):
            return decay
    aliases: dict[str, str] = {}
    for known in names():
        if known in _registered:
            continue
        aliases[fold(known)] = known
        for alias in getattr(importlib.import_module(f"{PACKAGE}.{known}"), "ALIASES", ()):
            aliases.setdefault(fold(alias), known)
    if fold(name) in aliases:
        known = aliases[fold(name)]
        home = importlib.import_module(f"{PACKAGE}.{known}")
        return getattr(home, known, None) or home.ReduceOnPlateau  # type: ignore[no-any-return]
    if "." in name:
        return _checked(import_path(name, "schedule"), name)
    raise UserError(
        f"There is no schedule named {name}.{did_you_mean(name, [*names(), *aliases.values()])}\n"
        f"There are {', '.join(names())}."
    )


def _checked(found: Any, path: str) -> Callable[..., Any]:
    """Return what a path leads to, if it is a schedule; nothing is called.

    Raises:
        UserError: it is neither a Python function that begins with the parameters ``step`` and
            ``total``, nor a class with such a ``__call__`` and the method ``observe``.
    """
    waits = inspect.isclass(found) and inspect.isfunction(getattr(found, "observe", None))
    function = found.__call__ if waits else found
    if inspect.isfunction(function):
        names = [n for n in inspect.signature(function).parameters if n != "self"]
        if names[:2] == ["step", "total"]:
            return found  # type: ignore[no-any-return]
    raise UserError(
        f"schedule {path} is no function of step and total. It must begin with both, such as\n"
        "def my_decay(step: int, total: int, *, final: float = 0.0) -> float"
    )


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a decay by name."""
    decay = find(name)
    parameters = list(inspect.signature(decay).parameters.items())
    return dict(parameters if inspect.isclass(decay) else parameters[2:])  # step and total first


class Schedule:
    """A named decay with a linear warm-up in front.

    Args:
        name: of the decay.
        warmup: length of the warm-up: steps (500), a fraction of all steps (0.1, or 10%), or
            epochs (2 epochs).
        warmup_start: factor that the warm-up starts from.
        options: of the decay.

    Raises:
        UserError: name, option or value is not known or can't be meant.
    """

    def __init__(
        self,
        name: str = "constant",
        *,
        warmup: int | float | str = 0,
        warmup_start: float = 0.0,
        **options: Any,
    ) -> None:
        decay = find(name)
        plateau = inspect.isclass(decay)
        self.name = "reduce_on_plateau" if plateau else decay.__name__
        self.warmup, self.warmup_start = warmup, warmup_start
        _check_options(name, self.name, options)
        _fraction("warmup_start", warmup_start)
        self._amount, self._unit = parse_warmup(warmup)
        self.decay: Any = decay(**options) if plateau else decay
        self.options = {} if plateau else options

    @property
    def needs_metric(self) -> str | None:
        """The metric that it waits for, if any."""
        return getattr(self.decay, "monitor", None)

    @property
    def endless(self) -> bool:
        """Whether it needs no end of training."""
        return self.name in ENDLESS and self._unit != "fraction"

    def warmup_steps(self, total: int, steps_per_epoch: int = 1) -> int:
        """Optimizer steps of the warm-up.

        Raises:
            UserError: it is longer than training.
        """
        per_unit = {"steps": 1, "fraction": total, "epochs": steps_per_epoch}[self._unit]
        steps = round(self._amount * per_unit)
        if self._unit == "fraction":  # less than all of training, however it is rounded
            steps = min(steps, max(0, total - 1))
        if steps >= total > 1:
            raise UserError(
                f"schedule.warmup is {self.warmup}, {steps} steps; training has {total}.\n"
                "Write a shorter one, such as 0.1 for a tenth of training."
            )
        return steps

    def factor(self, step: int, total: int, steps_per_epoch: int = 1) -> float:
        """Factor of the peak learning rate at a step, counted from 0.

        Step s of a warm-up of w has the part (s + 1) / (w + 1) of the way up to where the decay
        begins, so that no step is lost on a learning rate of 0. Steps past the end keep
        the last factor, unless the decay needs no end.
        """
        warmup = self.warmup_steps(total, steps_per_epoch)
        rest = max(1, total - warmup)
        since = max(0, step - warmup)
        since = since if self.name in ENDLESS else min(since, rest - 1)
        factor = float(self.decay(since, rest, **self.options))
        if step < warmup:  # on the way up to where the decay begins
            factor *= self.warmup_start + (1 - self.warmup_start) * (step + 1) / (warmup + 1)
        return factor

    def scheduler(self, optimizer: Optimizer, total: int, steps_per_epoch: int = 1) -> Scheduler:
        """Torch's scheduler, to be stepped after each optimizer step."""
        from gdlightning.schedules.scheduler import Scheduler

        self.warmup_steps(total, steps_per_epoch)
        return Scheduler(optimizer, self, total, steps_per_epoch)

    def observe(self, metrics: Mapping[str, Any]) -> None:
        """Show the metrics of a validation to a decay that waits for one.

        Raises:
            UserError: the metric is not among them.
        """
        wanted, decay = self.needs_metric, self.decay
        if wanted is None:
            return
        if wanted not in metrics:
            raise UserError(
                f"schedule.monitor is {wanted}, which is not logged.{did_you_mean(wanted, metrics)}"
                f"\nLogged are {', '.join(sorted(metrics)) or 'no metrics'}."
            )
        decay.observe(float(metrics[wanted]))


def parse_warmup(given: int | float | str) -> tuple[float, str]:
    """Amount and unit (steps, fraction, epochs) of a warm-up.

    Raises:
        UserError: it is negative or can't be read.
    """
    hint = "write steps (500), a fraction (0.1 or 10%), or epochs (2 epochs)"
    match = re.fullmatch(r"\s*([-+.\deE]+)\s*(%|epochs?|ep|steps?)?\s*", str(given))
    try:
        amount = float(match[1]) if match else math.nan
    except ValueError:
        amount = math.nan
    if not match or not math.isfinite(amount) or amount < 0:
        raise UserError(f"schedule.warmup is {given}; {hint}.")
    unit = match[2] or ""
    if unit == "%":
        amount, unit = amount / 100, "fraction"
    if unit.startswith("ep"):
        return amount, "epochs"
    if unit == "fraction" or (not unit and 0 < amount < 1):
        if amount >= 1:
            raise UserError(f"schedule.warmup is {given}, all of training; {hint}.")
        return amount, "fraction"
    if amount != int(amount):
        raise UserError(f"schedule.warmup is {given}; {hint}.")
    return amount, "steps"


def _check_options(name: str, known_as: str, given: Mapping[str, Any]) -> None:
    known = options(name)
    for key, value in given.items():
        if key not in known:
            raise UserError(
                f"The schedule {name} has no option {key} (schedule.{key})."
                f"{did_you_mean(key, known)}\nIts options: {', '.join(known) or 'none'}."
            )
        if key in ("final", "initial", "low", "rise", "decay", "min_factor", "gamma", "factor"):
            _fraction(key, value)
        if key == "final" and known_as == "exponential" and value == 0:
            raise UserError("schedule.final is 0; an exponential never gets there, write 0.01.")
        if key in ("cycles", "drops", "timescale", "growth", "power") and not value > 0:
            raise UserError(f"schedule.{key} is {value}; write a number above 0.")
        if key in ("patience", "cooldown", "threshold") and not value >= 0:
            raise UserError(f"schedule.{key} is {value}; write 0 or more.")


def _fraction(key: str, value: Any) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"schedule.{key} is {value}; write a number from 0 to 1.")
