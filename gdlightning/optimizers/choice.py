"""A choice of optimizer: its name and options, and the optimizers and wrappers around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.entry import NEEDS, Entry
from gdlightning.optimizers.options import check, options
from gdlightning.optimizers.registry import find
from gdlightning.optimizers.wrappers import Wrapping

CHAINED = {"second-order", "modes", "marked groups", "steps", "examples", "one group"}
"""Needs that are met in combination with other optimizers, where ``step`` gets no closure."""
PICKY = {"matrices", "sparse"}
"""Needs that are met by passing an optimizer only some of the parameters."""
COMPOSED = ("companion", "base", "parts", "wrappers", "in_backward")
"""Keys of a choice that combine optimizers, as opposed to options of the optimizer."""


@dataclass(frozen=True)
class Choice:
    """Optimizer by name with its options.

    Args:
        entry: entry of the registry.
        options: options that the user set.
        companion: optimizer of the parameters that are not hidden matrices, or that the main
            optimizer does not accept.
        base: optimizer wrapped by an optimizer such as SAM.
        shares: optimizers of parameters selected by pattern; the first match applies.
        wrappers: wrappers around the combined optimizer, outermost first.
        in_backward: whether to step each parameter as soon as its gradient is available.
    """

    entry: Entry
    options: Mapping[str, Any] = field(default_factory=dict)
    companion: Choice | None = None
    base: Choice | None = None
    shares: tuple[Share, ...] = ()
    wrappers: tuple[Wrapping, ...] = ()
    in_backward: bool = False

    @classmethod
    def of(cls, given: str | Mapping[str, Any] | Choice, where: str = "optimizer") -> Choice:
        """Create a choice from a name or a mapping.

        Args:
            given: name, or mapping with ``name``, options and keys of ``COMPOSED``; a choice is
                returned unchanged.
            where: config key, for error messages.

        Raises:
            UserError: if a name or option is unknown, or a value is out of range.
        """
        if isinstance(given, Choice):
            return given
        entry, settings = _entry(given, where)
        wanted = {key: settings.pop(key, None) for key in COMPOSED}
        defaults = sub_choices(entry)
        for key in ("companion", "base"):
            if wanted[key] and key not in defaults:
                raise UserError(
                    f"The optimizer {entry.name} does not support a {key} ({where}.{key})."
                )
            chosen = wanted[key] or defaults.get(key)
            wanted[key] = cls.within(chosen, f"{where}.{key}", key) if chosen else None
        check(entry, settings, where)
        choice = cls(
            entry,
            settings,
            companion=wanted["companion"],
            base=wanted["base"],
            shares=tuple(Share.of(g, f"{where}.parts") for g in _list(wanted, "parts", where)),
            wrappers=tuple(
                Wrapping.of(g, f"{where}.wrappers") for g in _list(wanted, "wrappers", where)
            ),
            in_backward=_switch(wanted["in_backward"], f"{where}.in_backward"),
        )
        _check_composition(choice, where)
        return choice

    @classmethod
    def within(cls, given: str | Mapping[str, Any], where: str, role: str) -> Choice:
        """Create a choice for an optimizer that is combined with another one.

        Args:
            given: name, or mapping with ``name`` and options.
            where: config key, for error messages.
            role: ``companion``, ``base`` or ``part``.

        Raises:
            UserError: if a name or option is unknown, or the optimizer has needs that the role
                cannot meet.
        """
        entry, settings = _entry(given, where)
        for key in COMPOSED:
            if settings.get(key):
                raise UserError(
                    f"{where}: a {role} does not support {key} ({where}.{key}).", key=where
                )
            settings.pop(key, None)
        met = {"base": set(), "companion": CHAINED, "part": CHAINED | PICKY}[role]
        lacking = sorted(set(entry.needs) - met)
        if lacking or "lr" not in options(entry):
            why = NEEDS[lacking[0]] if lacking else "has no learning rate"
            raise UserError(
                f"{where}: {entry.name} cannot be used as a {role}: it {why}.\n"
                "Use an optimizer without special needs, such as adamw or sgd (gdl optimizers).",
                key=where,
            )
        check(entry, settings, where)
        return cls(entry, settings)

    @property
    def entries(self) -> list[Entry]:
        """Entries of the optimizer and of all optimizers combined with it."""
        inner = [c for c in (self.companion, self.base, *(s.choice for s in self.shares)) if c]
        return [self.entry, *(choice.entry for choice in inner)]

    @property
    def needs(self) -> set[str]:
        """Needs of all entries."""
        return {need for entry in self.entries for need in entry.needs}

    def value(self, option: str) -> Any:
        """Return the value of an option including defaults, or None if there is no such option."""
        settings, known = self.settings(), options(self.entry)
        if option in settings or option not in known:
            inner = self.base.value(option) if self.base and option not in known else None
            return settings.get(option, inner)
        return None if known[option].required else known[option].default

    def settings(self) -> dict[str, Any]:
        """Return the options that differ from the defaults of the class."""
        known = options(self.entry)
        settings = {k: v for k, v in self.entry.defaults.items() if k in known} | dict(self.options)
        settings = {k: _tupled(v) for k, v in settings.items() if v is not None}
        if settings.get("momentum") == 0 and "nesterov" not in self.options:
            settings.pop("nesterov", None)  # torch requires momentum for Nesterov
        return settings


@dataclass(frozen=True)
class Share:
    """Optimizer of the parameters whose full name matches a shell-style pattern."""

    pattern: str
    choice: Choice

    @classmethod
    def of(cls, given: Any, where: str = "optimizer.parts") -> Share:
        """Create a share from a mapping with ``pattern``, ``name`` and options.

        Raises:
            UserError: if the pattern is missing, or a name or option is unknown.
        """
        settings = dict(given) if isinstance(given, Mapping) else {}
        pattern = settings.pop("pattern", None)
        if not isinstance(pattern, str) or not pattern:
            near = did_you_mean("pattern", set(settings) - {"name"}) if settings else ""
            raise UserError(
                f"Each entry of {where} must have a pattern and a name (got {_short(given)})."
                f"{near.replace('Did you mean', 'Did you mean pattern instead of')}\n"
                f"Example: {where}: [{{pattern: 'net.embed*', name: adagrad}}]"
            )
        return cls(pattern, Choice.within(settings, where, "part"))


def sub_choices(entry: Entry) -> dict[str, str | None]:
    """Return the supported keys of ``companion`` and ``base``, with their default optimizers."""
    found: dict[str, str | None] = {"companion": "adamw" if PICKY & set(entry.needs) else None}
    if "base" in entry.needs:
        found["base"] = "sgd"
    return found


def _entry(given: str | Mapping[str, Any], where: str) -> tuple[Entry, dict[str, Any]]:
    settings = {"name": given} if isinstance(given, str) else dict(given)
    if "name" not in settings:
        raise UserError(f"{where} must have a name. List the names with: gdl optimizers", key=where)
    try:
        entry = find(str(settings.pop("name")))
    except UserError as error:
        raise (error if where == "optimizer" else error.within(where)) from error
    if entry.refused:
        raise UserError(f"{where}: {entry.name} is not supported: {entry.refused}.", key=where)
    if entry.device == "cuda" and not torch.cuda.is_available():
        raise UserError(f"{where}: {entry.name} needs a GPU, but none is available.", key=where)
    return entry, settings


def _check_composition(choice: Choice, where: str) -> None:
    """Raise an error for optimizers and wrappers that cannot be combined.

    Raises:
        UserError: with the key and the reason.
    """
    alone = choice.needs - CHAINED - PICKY
    combined = "companion" if choice.companion else "parts" if choice.shares else ""
    moved = any(wrapping.cls.moves for wrapping in choice.wrappers)
    conflicts = {
        combined: alone if combined else set(),
        "wrappers": choice.needs & {"modes"} if moved else set(),
        "in_backward": alone | choice.needs & {"second-order"} if choice.in_backward else set(),
    }
    for key, needs in conflicts.items():
        for need in sorted(needs):
            raise UserError(
                f"{where}.{key} is not supported for {choice.entry.name}: it {NEEDS[need]}.",
                key=f"{where}.{key}",
            )
    if choice.in_backward and choice.entry.lr_free:
        raise UserError(
            f"{where}.in_backward is not supported for {choice.entry.name}: it estimates one "
            "learning rate from all gradients, which are never available together.",
            key=f"{where}.in_backward",
        )


def _list(wanted: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    found = wanted[key]
    if found is None:
        return ()
    if isinstance(found, str | Mapping):
        return (found,)
    if not isinstance(found, Sequence):
        raise UserError(f"{where}.{key} must be a list", key=f"{where}.{key}", value=found)
    return found


def _switch(value: Any, key: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise UserError(f"{key} must be true or false", key=key, value=value)
    return bool(value)


def _short(value: Any) -> str:
    return repr(value)[:60]


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
