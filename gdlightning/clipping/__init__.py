"""Clipping: what is done to gradients before a step, one way a file."""

from __future__ import annotations

import importlib

from gdlightning.clipping.clip import Clip
from gdlightning.discovery import import_path, modules
from gdlightning.errors import UserError, did_you_mean, fold

__all__ = ["Clip", "find", "names"]


def names() -> list[str]:
    """All ways of clipping, sorted: the files of this package."""
    return [name for name in modules(__name__) if name != "clip"]


def find(name: str) -> type[Clip]:
    """The way of clipping of a name in any spelling, or of a dotted path.

    Raises:
        UserError: there is none; the message has the nearest.
    """
    for known in names():
        home = importlib.import_module(f"{__name__}.{known}")
        if fold(name) in {fold(known), *map(fold, getattr(home, "ALIASES", ()))}:
            found = [
                c
                for c in vars(home).values()
                if isinstance(c, type) and issubclass(c, Clip) and c.__module__ == home.__name__
            ]
            return found[0]
    if "." in name:
        given: type[Clip] = import_path(name, "clip")
        if isinstance(given, type) and issubclass(given, Clip):
            return given
        raise UserError(f"clip {name} is no subclass of gdlightning.clipping.Clip.")
    raise UserError(
        f"There is no clip named {name}.{did_you_mean(name, names())}\n"
        f"There are {', '.join(names())}."
    )
