"""Gradient clipping, one method per module."""

from __future__ import annotations

from gdlightning.clipping.clip import Clip
from gdlightning.discovery import Catalogue, only_class

__all__ = ["METHODS", "Clip", "find", "names"]

METHODS = Catalogue(
    "gdlightning.clipping",
    "clipping method",
    base="gdlightning.clipping.clip:Clip",
    member=only_class(Clip),
    skip=("clip",),
)


def names() -> list[str]:
    """Return the sorted names of all clipping methods."""
    return METHODS.names()


def find(name: str) -> type[Clip]:
    """Return the clipping method with the given name.

    Args:
        name: name in any spelling, alias, or dotted import path.

    Raises:
        UserError: if there is no such method. The message suggests similar names.
    """
    found: type[Clip] = METHODS.find(name)
    return found
