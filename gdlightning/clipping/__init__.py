"""Gradient clipping, one method per module."""

from __future__ import annotations

import importlib

from gdlightning.clipping.clip import Clip
from gdlightning.discovery import import_path, modules
from gdlightning.errors import UserError, did_you_mean, fold

__all__ = ["Clip", "find", "names"]


def names() -> list[str]:
    """Return the sorted names of all clipping methods."""
    return [name for name in modules(__name__) if name != "clip"]


def find(name: str) -> type[Clip]:
    """Return the clipping method with the given name.

    Args:
        name: name in any spelling, alias, or dotted import path.

    Raises:
        UserError: if there is no such method. The message suggests similar names.
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
        raise UserError(f"clip {name} is not a subclass of gdlightning.clipping.Clip.", key="clip")
    raise UserError(
        f"There is no clipping method named {name}.{did_you_mean(name, names())}\n"
        f"Available methods: {', '.join(names())}."
    )
