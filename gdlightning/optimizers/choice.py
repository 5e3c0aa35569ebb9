"""A choice of optimizer: its name, its options, and what it is composed with."""

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
"""Needs that are met beside other optimizers, where ``step()`` is called without a closure."""
PICKY = {"matrices", "sparse"}
"""Needs that are met by giving an optimizer only some of the parameters."""
COMPOSED = ("companion", "base", "parts", "wrappers", "in_backward")


@dataclass(frozen=True)
class Choice:
    """An optimizer by name with its options.

    Args:
        entry: of the registry.
        options: those that the user gave.
        companion: for the parameters that are no hidden matrices, or that the optimizer can't take.
        base: what an optimizer such as SAM wraps.
        shares: other optimizers for parameters by pattern; the first that matches counts.
        wrappers: around all of it, the outermost first.
        in_backward: each parameter is stepped as soon as its gradient is there.
    """

    entry: Entry
    options: Mapping[str, Any] = field(default_factory=dict)
    companion: Choice | None = None
    base: Choice | None = None
    shares: tuple[Share, ...] = ()
    wrappers: tuple[Wrapping, ...] = ()
    in_backward: bool = False

    @classmethod
    def of(cls, given: str | Mapping[str, Any], where: str = "optimizer") -> Choice:
        """From a name, or a mapping with ``name``, options, and any of ``COMPOSED``.

        Raises:
            UserError: name, option or value is not known or can't be meant.
        """
        entry, settings = _entry(given, where)
        wanted = {key: settings.pop(key, None) for key in COMPOSED}
        defaults = sub_choices(entry)
        for key in ("companion", "base"):
            if wanted[key] and key not in defaults:
                raise UserError(f"The optimizer {entry.name} takes no {key} ({where}.{key}).")
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
        """An optimizer that steps beside or within another, which calls ``step()`` alone.

        Args:
            given: a name, or a mapping with ``name`` and options.
            where: the key, for errors.
            role: ``companion``, ``base`` or ``part``.

        Raises:
            UserError: name, option or value is not known, or it needs more than that.
        """
        entry, settings = _entry(given, where)
        for key in COMPOSED:
            if settings.get(key):
                raise UserError(f"{where}: a {role} takes no {key} ({where}.{key}).")
            settings.pop(key, None)
        met = {"base": set(), "companion": CHAINED, "part": CHAINED | PICKY}[role]
        lacking = sorted(set(entry.needs) - met)
        if lacking or "lr" not in options(entry):
            why = NEEDS[lacking[0]] if lacking else "has no learning rate"
            raise UserError(
                f"{where}: {entry.name} can't be a {role}: it {why}.\n"
                "Choose one that needs nothing special, such as adamw or sgd: gdl optimizers"
            )
        check(entry, settings, where)
        return cls(entry, settings)

    @property
    def entries(self) -> list[Entry]:
        """The entry, and those beside and within it."""
        inner = [c for c in (self.companion, self.base, *(s.choice for s in self.shares)) if c]
        return [self.entry, *(choice.entry for choice in inner)]

    @property
    def needs(self) -> set[str]:
        """The needs of the entry and of those beside it."""
        return {need for entry in self.entries for need in entry.needs}

    def value(self, option: str) -> Any:
        """What an option will be, default included; None where the optimizer has no such option."""
        settings, known = self.settings(), options(self.entry)
        if option in settings or option not in known:
            inner = self.base.value(option) if self.base and option not in known else None
            return settings.get(option, inner)
        return None if known[option].required else known[option].default

    def settings(self) -> dict[str, Any]:
        """The options that differ from the class's own defaults: the entry's, then the user's."""
        known = options(self.entry)
        settings = {k: v for k, v in self.entry.defaults.items() if k in known} | dict(self.options)
        settings = {k: _tupled(v) for k, v in settings.items() if v is not None}
        if settings.get("momentum") == 0 and "nesterov" not in self.options:
            settings.pop("nesterov", None)  # Nesterov without momentum is no optimizer
        return settings


@dataclass(frozen=True)
class Share:
    """The optimizer of the parameters whose full name matches a shell pattern."""

    pattern: str
    choice: Choice

    @classmethod
    def of(cls, given: Any, where: str = "optimizer.parts") -> Share:
        """From a mapping with ``pattern``, ``name`` and options.

        Raises:
            UserError: it has no pattern, or name, option or value is not known.
        """
        settings = dict(given) if isinstance(given, Mapping) else {}
        pattern = settings.pop("pattern", None)
        if not isinstance(pattern, str) or not pattern:
            near = did_you_mean("pattern", set(settings) - {"name"}) if settings else ""
            raise UserError(
                f"{where} holds {_short(given)}; each part has a pattern, a name and options."
                f"{near.replace('Did you mean', 'Is pattern meant by')}\n"
                f"Write {where}: [{{pattern: 'net.embed*', name: adagrad}}]"
            )
        return cls(pattern, Choice.within(settings, where, "part"))


def sub_choices(entry: Entry) -> dict[str, str | None]:
    """``companion`` and, for an optimizer that wraps one, ``base`` → the one that it has anyway."""
    found: dict[str, str | None] = {"companion": "adamw" if PICKY & set(entry.needs) else None}
    if "base" in entry.needs:
        found["base"] = "sgd"
    return found


def _entry(given: str | Mapping[str, Any], where: str) -> tuple[Entry, dict[str, Any]]:
    settings = {"name": given} if isinstance(given, str) else dict(given)
    if "name" not in settings:
        raise UserError(f"{where} has no name. List the names with: gdl optimizers")
    try:
        entry = find(str(settings.pop("name")))
    except UserError as error:
        raise UserError(f"{where}: {error}" if where != "optimizer" else str(error)) from error
    if entry.refused:
        raise UserError(f"{where}: {entry.name} can't be used here: {entry.refused}.")
    if entry.device == "cuda" and not torch.cuda.is_available():
        raise UserError(f"{where}: {entry.name} needs a GPU, and this machine has none.")
    return entry, settings


def _check_composition(choice: Choice, where: str) -> None:
    """Refuse what can't go together.

    Raises:
        UserError: with the key and the reason.
    """
    alone = choice.needs - CHAINED - PICKY
    beside = "companion" if choice.companion else "parts" if choice.shares else ""
    moved = any(wrapping.cls.moves for wrapping in choice.wrappers)
    conflicts = {
        beside: alone if beside else set(),
        "wrappers": choice.needs & {"modes"} if moved else set(),
        "in_backward": alone | choice.needs & {"second-order"} if choice.in_backward else set(),
    }
    for key, needs in conflicts.items():
        for need in sorted(needs):
            raise UserError(
                f"{where}.{key}: {choice.entry.name} can't be combined so: it {NEEDS[need]}."
            )
    if choice.in_backward and choice.entry.lr_free:
        raise UserError(
            f"{where}.in_backward: {choice.entry.name} estimates one learning rate from all "
            "gradients; here it would see one at a time."
        )


def _list(wanted: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    found = wanted[key]
    if found is None:
        return ()
    if isinstance(found, str | Mapping):
        return (found,)
    if not isinstance(found, Sequence):
        raise UserError(f"{where}.{key} is {_short(found)}; write a list.")
    return found


def _switch(value: Any, key: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise UserError(f"{key} is {_short(value)}; write true or false.")
    return bool(value)


def _short(value: Any) -> str:
    return repr(value)[:60]


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
