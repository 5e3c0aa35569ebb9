"""Search spaces of optimizers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.options import options

DECADES = 3.0
"""Initial width of the range of learning rates in decades, with the default in the middle."""
LIMITS = (1e-8, 1e3)
"""Limits of learning rates, even if a range grows."""
EDGE = 0.15
"""Fraction of a range at each end that counts as its edge."""
MOMENTA = (0.9, 0.8, 0.95, 0.98)
BETAS = ((0.9, 0.999), (0.9, 0.99), (0.9, 0.95), (0.95, 0.98))
WARMUPS = (0.05, 0.0, 0.1, 0.2)
TUNED = ("lr", "weight_decay", "momentum", "warmup")
"""Names of tunable options; ``momentum`` stands for ``betas`` in optimizers that have them."""


@dataclass(frozen=True)
class Range:
    """Range from ``low`` to ``high`` on a logarithmic scale."""

    low: float
    high: float

    @property
    def decades(self) -> float:
        """Width in decades."""
        return math.log10(self.high / self.low)

    def at(self, part: float) -> float:
        """Return the number at a relative position from 0 to 1, rounded to four digits."""
        return float(f"{self.low * 10 ** (part * self.decades):.4g}")

    def edge(self, value: float) -> int:
        """Return -1 if a value is at the lower edge, 1 if at the upper edge, otherwise 0."""
        part = math.log10(value / self.low) / self.decades
        return -1 if part <= EDGE else 1 if part >= 1 - EDGE else 0

    def beyond(self, value: float, side: int) -> Range:
        """Return a range of half the width that starts at a value and extends to one side."""
        step = 10 ** (self.decades / 2)
        if side < 0:
            return Range(max(value / step, LIMITS[0]), value)
        return Range(value, min(value * step, LIMITS[1]))

    def around(self, value: float, part: float) -> Range:
        """Return a range around a value with a fraction of the width."""
        half = 10 ** (part * self.decades / 2)
        return Range(value / half, value * half)

    def joined(self, other: Range) -> Range:
        """Return the smallest range that contains both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Values:
    """Discrete values, with the default first."""

    values: tuple[Any, ...]

    def at(self, part: float) -> Any:
        """Return the value at a relative position from 0 to 1."""
        return self.values[min(int(part * len(self.values)), len(self.values) - 1)]


Space = Mapping[str, Range | Values]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """Optimizer in a comparison.

    Args:
        label: name in the report.
        optimizer: ``name`` and fixed options.
        schedule: ``name`` and options of the schedule.
        space: search space of each option; ``warmup`` is an option of the schedule.
        start: values that replace the defaults of the optimizer.
    """

    label: str
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    space: Space
    start: Settings = field(default_factory=dict)

    @property
    def untuned(self) -> Settings:
        """Default values of the tuned options."""
        choice = Choice.of(self.optimizer)
        found: dict[str, Any] = {}
        for key, place in self.space.items():
            usual = self.schedule.get("warmup", 0.0) if key == "warmup" else choice.value(key)
            usual = self.start.get(key, usual)
            if isinstance(place, Range) and not (usual and place.low <= usual <= place.high):
                usual = place.at(0.5)
            found[key] = list(usual) if isinstance(usual, tuple) else usual
        return found

    def configured(self, settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the optimizer and schedule with some settings.

        The learning rate of a companion is scaled by the same factor as that of the optimizer.
        """
        given = dict(settings)
        schedule = dict(self.schedule)
        if "warmup" in given:
            schedule["warmup"] = given.pop("warmup")
        optimizer = {**self.optimizer, **given}
        choice = Choice.of(self.optimizer)
        usual, lr = choice.value("lr"), given.get("lr")
        if choice.companion and usual and lr and not self.optimizer.get("companion"):
            companion = choice.companion
            own = float(f"{companion.value('lr') * lr / usual:.4g}")
            optimizer["companion"] = {"name": companion.entry.name, "lr": own}
        return optimizer, schedule


def dimensions(trials: int) -> tuple[str, ...]:
    """Return the options worth tuning with a number of trials, as each needs more trials."""
    return TUNED[: 1 if trials < 8 else 2 if trials < 16 else 4]


def make_candidate(
    label: str,
    optimizer: str | Mapping[str, Any],
    schedule: str | Mapping[str, Any] | None = None,
    *,
    tuned: Sequence[str] = ("lr", "weight_decay"),
    own: Mapping[str, Any] | None = None,
) -> Candidate:
    """Create a candidate with the search space of its registry entry.

    Args:
        label: name in the report.
        optimizer: name, or mapping with ``name`` and fixed options.
        schedule: learning-rate schedule; a cosine decay after a warm-up if None.
        tuned: options to tune, from ``TUNED``.
        own: custom search space per option, which replaces ``tuned``: two numbers ``[low, high]``
            or ``{values: [...]}``.

    Raises:
        UserError: if the optimizer or an option in ``own`` is unknown.
    """
    if not isinstance(optimizer, str | Mapping):
        raise UserError(
            f"{label}.optimizer is {str(optimizer)[:60]}; write a name, or {{name: sgd, nesterov: "
            "false}."
        )
    given = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
    choice = Choice.of(given)
    followed = {"name": schedule} if isinstance(schedule, str) else dict(schedule or {})
    if not followed:
        followed = {"name": "cosine", "warmup": WARMUPS[0]}
    if choice.value("lr") is None:
        followed = {"name": "constant"}
    elif "modes" in choice.needs:  # averaging replaces the decay
        followed = {"name": "constant", "warmup": followed.get("warmup", 0)}
    space: dict[str, Range | Values] = {}
    for key in tuned if own is None else ():
        found = _usual(choice, key, given)
        if found is not None:
            space[found[0]] = found[1]
    for key, value in (own or {}).items():
        space[key] = _own(choice, key, value, label)
    return Candidate(label, given, followed, space)


def _usual(choice: Choice, key: str, given: Mapping[str, Any]) -> tuple[str, Range | Values] | None:
    """Return name and space of an option, or None if the optimizer lacks it or it is fixed."""
    known = options(choice.entry)
    if key == "warmup":
        return (key, Values(WARMUPS)) if choice.value("lr") is not None else None
    if key == "momentum" and "betas" in known:
        key = "betas"
    if key not in known or key in given:
        return None
    usual = choice.value(key)
    if key == "lr" and usual:
        half = 10 ** ((1.0 if choice.entry.lr_free else DECADES) / 2)
        return key, Range(usual / half, usual * half)
    if key == "weight_decay":
        return key, Range(usual / 10, usual * 10) if usual else Range(1e-5, 1e-2)
    if key == "momentum" and usual:
        return key, Values((usual, *(m for m in MOMENTA if m != usual)))
    if key == "betas" and isinstance(usual, tuple) and len(usual) == 2:
        return key, Values((list(usual), *(list(b) for b in BETAS if b != usual)))
    return None


def _own(choice: Choice, key: str, value: Any, label: str) -> Range | Values:
    known = [*options(choice.entry), "warmup"]
    if key not in known:
        raise UserError(f"{label} has no tunable option {key}.{did_you_mean(key, known)}")
    if isinstance(value, Mapping) and set(value) == {"values"} and value["values"]:
        return Values(tuple(value["values"]))
    numbers = isinstance(value, list | tuple) and len(value) == 2
    if numbers and all(isinstance(v, int | float) for v in value) and 0 < value[0] < value[1]:
        return Range(float(value[0]), float(value[1]))
    raise UserError(
        f"{label}.{key} must be two positive numbers in ascending order, such as [1e-4, 1e-1],\n"
        f"or a list of values, such as {{values: [0.9, 0.95]}} (got {value})."
    )


def grown(space: Space, key: str, region: Range) -> Space:
    """Return the space with one range extended."""
    place = space[key]
    return {**space, key: place.joined(region) if isinstance(place, Range) else place}


def narrowed(space: Space, best: Settings, part: float) -> Space:
    """Return the part of the space around some settings."""
    return {
        k: p.around(best[k], part) if isinstance(p, Range) else Values((best[k],))
        for k, p in space.items()
    }
