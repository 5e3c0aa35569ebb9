"""Values of general options that no training can have, whatever their type."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from gdlightning.errors import UserError

COUNTS = {
    "width", "depth", "heads", "kernel", "patch", "ngrams", "ngram_buckets", "blocks", "hidden",
    "numeric", "channels", "outputs", "features", "vocab_size", "cardinalities",
}  # fmt: skip
"""Options of the nets that count something."""
MOST = 10**7
"""Of a count: more of it fits in no memory."""
LAYERS = 1_000
"""Entries of a list of a net's, such as its hidden layers."""
ENTRIES = 100_000
"""Of any other list."""
LONGEST = 200
"""Bytes of a run's name; file systems take 255 for a folder."""
SEEDS = 2**32
NAMES = 100
"""Entries of a list of names: of callbacks, loggers, modules to import."""


def check_length(key: str, value: Any) -> None:
    """Refuse a list that is too long, before each of its entries is looked at.

    Raises:
        UserError: with the key.
    """
    if key in ("callbacks", "loggers", "imports"):
        most = NAMES
    else:
        most = LAYERS if key.startswith("model.net.") else ENTRIES
    if isinstance(value, list) and len(value) > most:
        raise UserError(f"{key} has {len(value):,} entries; at most {most:,}.")


def check_general(values: Mapping[str, Any]) -> None:
    """Refuse a name that is no folder's, and numbers out of range.

    Raises:
        UserError: with key, value, and what to write instead.
    """
    _check_name(values["name"])
    if not 0 <= values["seed"] < SEEDS:
        raise UserError(f"seed is {values['seed']}; write a number from 0 to {SEEDS - 1}.")
    threads = values["threads"]
    if threads is not None and not 1 <= threads <= 4096:
        raise UserError(f"threads is {threads}; write a number from 1 to 4096.")
    steps = values["stop_after"]
    if steps is not None and steps < 1:
        raise UserError(f"stop_after is {steps}; write 1 or more.")
    root = values["run_root"]
    if not root.strip() or "\0" in root:
        raise UserError(f"run_root is {root!r}; write a folder, such as runs.")
    if values["overwrite"] and values["resume"] is not None:
        raise UserError(
            f"overwrite is true and resume is {values['resume']}: one replaces a run, the other "
            "continues it.\nLeave one of them out."
        )


def _check_name(name: str) -> None:
    """A run's folder lies in the run root, never beside or above it.

    Raises:
        UserError: the name has a slash, ``$`` or a control character, begins with ``~``, is empty,
            ``.``, ``..`` or too long.
    """
    odd = any(unicodedata.category(c) in ("Cc", "Cs") for c in name)
    inside = name.strip() and name not in (".", "..") and not set(name) & set("/\\$")
    if odd or not inside or name.startswith("~") or len(name.encode("utf-8", "replace")) > LONGEST:
        raise UserError(
            f"name is {name!r}; write the name of one folder in run_root, at most {LONGEST} bytes, "
            "without slashes, $ or a leading ~.\nTo group runs, choose another --run_root."
        )


def check_numbers(key: str, value: Any) -> None:
    """Refuse what is no number (NaN), and whole numbers that no 64 bits hold, within any value.

    Raises:
        UserError: with the key.
    """
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            check_numbers(key, one)
    elif isinstance(value, float) and math.isnan(value):
        raise UserError(f"{key} is nan; write a number.")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        digits = len(str(abs(value))) if abs(value) < 10**4000 else "thousands of"
        raise UserError(f"{key} has {digits} digits; write a smaller number.")


def check_net(options: Mapping[str, Any]) -> None:
    """Refuse counts below 1 and dropout outside 0 to 1 among the options of a net of ours.

    Raises:
        UserError: with key, value, and what to write instead.
    """
    for key, value in options.items():
        check_length(f"model.net.{key}", value)
        for number in value if isinstance(value, list) else [value]:
            if key in COUNTS and number is not None and not 1 <= number <= MOST:
                raise UserError(f"model.net.{key} is {value}; write 1 or more, at most {MOST}.")
        if key == "dropout" and not 0 <= value < 1:
            raise UserError(f"model.net.dropout is {value}; write a number from 0 to below 1.")
        if key == "expansion" and not 0 < value <= MOST:
            raise UserError(f"model.net.expansion is {value}; write a number above 0.")
