"""Errors for people: what was wrong, where, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class UserError(Exception):
    """A mistake in what the user gave: a file, a key, a value.

    The command line prints the message without a traceback and exits with ``code``. Keep it to five
    lines: what was wrong, where (file, key, value), what to write instead.
    """

    code: ClassVar[int] = 2


class StorageError(UserError):
    """Something on the disk could not be written; what was saved before is as it was."""

    code = 74  # EX_IOERR


def fold(name: str) -> str:
    """A name as people mean it: any case, with or without ``-``, ``_`` and spaces."""
    return "".join(c for c in name.lower() if c not in "-_ ")


def nearest(name: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """The choices most like ``name``, best first; empty if none comes close."""
    by_fold: dict[str, str] = {}
    for choice in choices:
        by_fold.setdefault(fold(choice), choice)
    close = difflib.get_close_matches(fold(name), list(by_fold), n=count, cutoff=0.6)
    return [by_fold[c] for c in close]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """`` Did you mean a, b or c?``, or the empty string where nothing comes close."""
    close = nearest(name, choices)
    if not close:
        return ""
    if len(close) == 1:
        return f" Did you mean {close[0]}?"
    return f" Did you mean {', '.join(close[:-1])} or {close[-1]}?"


def require(module: str, extra: str, purpose: str) -> None:
    """Say which extra to install where an optional package is missing.

    Raises:
        UserError: ``module`` cannot be imported.
    """
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"{purpose} needs the package {module}, which is not installed.\n"
            f"Install it with: pip install 'gdlightning[{extra}]'"
        )
