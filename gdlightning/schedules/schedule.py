"""A learning-rate schedule: a decay preceded by a linear warm-up."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from gdlightning.discovery import Catalogue
from gdlightning.errors import UserError, did_you_mean


def register_schedule(decay: Callable[..., float]) -> Callable[..., float]:
    """Register a function ``(step, total, **options)`` as a schedule under its name.

    Use as a decorator. The function returns the multiplier of the peak learning rate.

    Example:
        >>> @register_schedule
        ... def halved(step: int, total: int) -> float:
        ...     return 1.0 if step < total / 2 else 0.5
    """
    SHAPES.register(decay.__name__, decay)
    return decay


def names() -> list[str]:
    """Return the sorted names of all schedules."""
    return SHAPES.names()


def find(name: str) -> Callable[..., Any]:
    """Return the decay with the given name.

    Args:
        name: name in any spelling, alias, or dotted import path.

    Raises:
        UserError: if there is no such decay. The message suggests similar names.
    """
    found: Callable[..., Any] = SHAPES.find(name)
    return found


def _check_decay(found: Any, path: str) -> None:
    """Check that an imported object is a schedule, without calling it.

    Raises:
        UserError: if it is neither a Python function whose first parameters are ``step`` and
            ``total``, nor a class with such a ``__call__`` and a method ``observe``.
    """
    monitors = inspect.isclass(found) and inspect.isfunction(getattr(found, "observe", None))
    function = found.__call__ if monitors else found
    if inspect.isfunction(function):
        parameters = [n for n in inspect.signature(function).parameters if n != "self"]
        if parameters[:2] == ["step", "total"]:
            return
    raise UserError(
        f"schedule {path} is not a function whose first parameters are step and total.",
        key="schedule.name",
        hint="Example: def my_decay(step: int, total: int, *, final: float = 0.0) -> float",
    )


def _decay_in(home: ModuleType, name: str) -> Callable[..., Any]:
    """Return the function named like its file, or else the only class of the file."""
    classes = (
        c for c in vars(home).values() if inspect.isclass(c) and c.__module__ == home.__name__
    )
    found: Callable[..., Any] = getattr(home, name, None) or next(classes)
    return found


SHAPES = Catalogue("gdlightning.schedules.shapes", "schedule", member=_decay_in, check=_check_decay)


def options(name: str) -> dict[str, inspect.Parameter]:
    """Return the options of a decay by name, without ``step`` and ``total``."""
    decay = find(name)
    parameters = list(inspect.signature(decay).parameters.items())
    return dict(parameters if inspect.isclass(decay) else parameters[2:])  # step and total first


class Schedule:
    """Named decay preceded by a linear warm-up.

    Args:
        name: name of the decay; see ``gdl schedules``.
        warmup: length of the warm-up in steps (500), as a fraction of all steps (0.1 or 10%), or in
            epochs (2 epochs).
        warmup_start: multiplier at the start of the warm-up.
        options: options of the decay.

    Raises:
        UserError: if the name or an option is unknown, or a value is out of range.

    Example:
        >>> schedule = Schedule("cosine", warmup=0.1)
        >>> schedule.factor(99, total=100)
        0.0
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
        monitors = inspect.isclass(decay)
        self.name = decay.__module__.rpartition(".")[2] if monitors else decay.__name__
        self._ignores_total = getattr(inspect.getmodule(decay), "ENDLESS", False)
        self.warmup, self.warmup_start = warmup, warmup_start
        _check_options(name, self.name, options)
        _check_fraction("warmup_start", warmup_start)
        self._amount, self._unit = parse_warmup(warmup)
        self.decay: Any = decay(**options) if monitors else decay
        self.options = {} if monitors else options

    @property
    def needs_metric(self) -> str | None:
        """Name of the metric that the decay monitors, or None."""
        return getattr(self.decay, "monitor", None)

    @property
    def endless(self) -> bool:
        """Whether the schedule does not depend on the length of training."""
        return self._ignores_total and self._unit != "fraction"

    def warmup_steps(self, total: int, steps_per_epoch: int | None = 1) -> int:
        """Return the length of the warm-up in optimizer steps.

        Args:
            total: optimizer steps of the whole run.
            steps_per_epoch: optimizer steps per epoch; None if unknown.

        Raises:
            UserError: if the warm-up is not shorter than the run, or is given in epochs of unknown
                length.
        """
        per_unit = {"steps": 1, "fraction": total, "epochs": steps_per_epoch}[self._unit]
        if per_unit is None:
            raise UserError(
                "schedule.warmup cannot be given in epochs, because the training data has no "
                "length",
                key="schedule.warmup",
                value=self.warmup,
                hint="Set it in steps, such as 500, or set trainer.limit_train_batches.",
            )
        steps = round(self._amount * per_unit)
        if self._unit == "fraction":  # rounding must not make it the whole run
            steps = min(steps, max(0, total - 1))
        if steps >= total > 1:
            raise UserError(
                f"schedule.warmup must be shorter than the run of {total} steps",
                key="schedule.warmup",
                value=self.warmup,
                hint=f"It has {steps} steps. Set a shorter one, such as 0.1 (a tenth of the run).",
            )
        return steps

    def factor(self, step: int, total: int, steps_per_epoch: int | None = 1) -> float:
        """Return the multiplier of the peak learning rate at a step.

        In a warm-up of w steps, step s is (s + 1) / (w + 1) of the way up, so that no step has
        learning rate 0. Steps after ``total`` keep the last multiplier, unless the schedule is
        endless.

        Args:
            step: optimizer step, counted from 0.
            total: optimizer steps of the whole run.
            steps_per_epoch: optimizer steps per epoch; None if unknown.
        """
        warmup = self.warmup_steps(total, steps_per_epoch)
        decay_steps = max(1, total - warmup)
        decay_step = max(0, step - warmup)
        decay_step = decay_step if self._ignores_total else min(decay_step, decay_steps - 1)
        factor = float(self.decay(decay_step, decay_steps, **self.options))
        if step < warmup:
            factor *= self.warmup_start + (1 - self.warmup_start) * (step + 1) / (warmup + 1)
        return factor

    def observe(self, metrics: Mapping[str, Any]) -> None:
        """Pass the metrics of a validation to a decay that monitors one.

        Raises:
            UserError: if the monitored metric is not logged.
        """
        wanted, decay = self.needs_metric, self.decay
        if wanted is None:
            return
        if wanted not in metrics:
            raise UserError(
                f"schedule.monitor must be a logged metric (got {wanted})."
                f"{did_you_mean(wanted, metrics)}"
                f"\nLogged metrics: {', '.join(sorted(metrics)) or 'none'}.",
                key="schedule.monitor",
            )
        decay.observe(float(metrics[wanted]))


def parse_warmup(given: int | float | str) -> tuple[float, str]:
    """Return the amount and unit (``steps``, ``fraction`` or ``epochs``) of a warm-up.

    Raises:
        UserError: if the value is negative or cannot be parsed.
    """
    wanted = "must be steps (500), a fraction below 1 (0.1 or 10%), or epochs (2 epochs)"
    match = re.fullmatch(r"\s*([-+.\deE]+)\s*(%|epochs?|ep|steps?)?\s*", str(given))
    try:
        amount = float(match[1]) if match else math.nan
    except ValueError:
        amount = math.nan
    if not match or not math.isfinite(amount) or amount < 0:
        raise UserError(f"schedule.warmup {wanted}", key="schedule.warmup", value=given)
    unit = match[2] or ""
    if unit == "%":
        amount, unit = amount / 100, "fraction"
    if unit.startswith("ep"):
        return amount, "epochs"
    if unit == "fraction" or (not unit and 0 < amount < 1):
        if amount >= 1:
            raise UserError(f"schedule.warmup {wanted}", key="schedule.warmup", value=given)
        return amount, "fraction"
    if amount != int(amount):
        raise UserError(f"schedule.warmup {wanted}", key="schedule.warmup", value=given)
    return amount, "steps"


def _check_options(name: str, canonical: str, given: Mapping[str, Any]) -> None:
    known = options(name)
    for key, value in given.items():
        if key not in known:
            raise UserError(
                f"The schedule {name} has no option {key} (schedule.{key})."
                f"{did_you_mean(key, known)}",
                key=f"schedule.{key}",
                hint=f"Available options: {', '.join(known) or 'none'}.",
            )
        if key in ("final", "initial", "low", "rise", "decay", "min_factor", "gamma", "factor"):
            _check_fraction(key, value)
        if key == "final" and canonical == "exponential" and value == 0:
            raise UserError(
                "schedule.final must be positive for an exponential decay",
                key="schedule.final",
                value=0,
                hint="Set schedule.final to a small number, such as 0.01.",
            )
        if key in ("cycles", "drops", "timescale", "growth", "power") and not value > 0:
            raise UserError(f"schedule.{key} must be positive", key=f"schedule.{key}", value=value)
        if key in ("patience", "cooldown", "threshold") and not value >= 0:
            raise UserError(
                f"schedule.{key} must not be negative", key=f"schedule.{key}", value=value
            )


def _check_fraction(key: str, value: Any) -> None:
    if not 0 <= value <= 1:
        raise UserError(
            f"schedule.{key} must be between 0 and 1", key=f"schedule.{key}", value=value
        )
