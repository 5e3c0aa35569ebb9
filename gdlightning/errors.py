"""Errors that the command line prints without a traceback, and suggestions of similar names."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

COMMAND_LINE = "the command line"
"""Origin of a setting that is not in a file."""

MAX_VALUE_CHARACTERS = 80
"""Length above which a value is shortened in a message."""


def shown(value: Any) -> str:
    """Return a value as text for a message: short, and on one line."""
    text = value if isinstance(value, str) and value.isprintable() and value else repr(value)
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    return f"{text[: MAX_VALUE_CHARACTERS - 20]}… ({len(text):,} characters)"


class UserError(Exception):
    """Error in the input of the user, such as a file, a key or a value.

    The command line prints it without a traceback and exits with ``code``. The text consists of the
    message, the value and its origin in parentheses, and the hint.

    Args:
        message: what is wrong, in a sentence.
        key: dotted key of the setting; if the error concerns several, the most likely cause first.
        value: value that was set.
        hint: what to write instead, in one or two lines.
        file: file that contains the setting, or ``COMMAND_LINE``.

    Example:
        >>> error = UserError("optimizer.lr must be positive", key="optimizer.lr", value=-1)
        >>> error.file = "c.yaml"
        >>> print(error)
        optimizer.lr must be positive (got -1, in c.yaml).
    """

    code: ClassVar[int] = 2

    def __init__(
        self,
        message: str,
        *,
        key: str | Sequence[str] | None = None,
        value: Any = None,
        hint: str = "",
        file: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.value, self.hint, self.file = message, value, hint, file
        self.keys: tuple[str, ...] = (key,) if isinstance(key, str) else tuple(key or ())

    @property
    def key(self) -> str | None:
        """Dotted key of the setting; the first of several."""
        return self.keys[0] if self.keys else None

    def __str__(self) -> str:
        facts = [] if self.value is None else [f"got {shown(self.value)}"]
        if self.file is not None:
            facts.append(f"{'on' if self.file == COMMAND_LINE else 'in'} {self.file}")
        text = self.message
        if facts:  # at the end of the first line, within its sentence
            first, line_break, rest = text.partition("\n")
            body = first.rstrip(".:")
            stop = first[len(body) :] or ("" if first.endswith("?") else ".")
            text = f"{body} ({', '.join(facts)}){stop}{line_break}{rest}"
        return f"{text}\n{self.hint}" if self.hint else text

    def within(self, section: str) -> UserError:
        """Return the same error with the section before its message and its keys."""
        keys = [f"{section}.{key}" for key in self.keys] or section
        return type(self)(
            f"{section}: {self.message}",
            key=keys,
            value=self.value,
            hint=self.hint,
            file=self.file,
        )


class StorageError(UserError):
    """Error in writing to the disk; files that were saved before are unchanged."""

    code = 74  # EX_IOERR


@contextlib.contextmanager
def concerning(*keys: str) -> Iterator[None]:
    """Set the keys of errors that are raised within the block and have none."""
    try:
        yield
    except UserError as error:
        error.keys = error.keys or keys
        raise


def fold(name: str) -> str:
    """Return a name in lower case, without ``-``, ``_`` and spaces, for comparisons."""
    return "".join(c for c in name.lower() if c not in "-_ ")


def nearest(name: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """Return the choices most similar to ``name``, best first; empty if none is similar."""
    by_fold: dict[str, str] = {}
    for choice in choices:
        by_fold.setdefault(fold(choice), choice)
    close = difflib.get_close_matches(fold(name), list(by_fold), n=count, cutoff=0.6)
    return [by_fold[c] for c in close]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean a, b or c?``, or an empty string if no choice is similar."""
    close = nearest(name, choices)
    if not close:
        return ""
    if len(close) == 1:
        return f" Did you mean {close[0]}?"
    return f" Did you mean {', '.join(close[:-1])} or {close[-1]}?"


def require(module: str, extra: str, purpose: str) -> None:
    """Check that an optional package is installed.

    Args:
        module: name of the package.
        extra: extra of gdlightning that installs it.
        purpose: feature that needs it, as the subject of the message.

    Raises:
        UserError: if it is not installed. The message names the extra.
    """
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise UserError(
            f"{purpose} needs the package {module}, which is not installed.\n"
            f"Install it with: pip install 'gdlightning[{extra}]'"
        )
