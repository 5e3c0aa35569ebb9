"""Checks of values that no run supports, whatever their type."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from gdlightning.errors import UserError

COUNTS = {
    "width",
    "depth",
    "heads",
    "kernel",
    "patch",
    "ngrams",
    "ngram_buckets",
    "blocks",
    "hidden",
    "numeric",
    "channels",
    "outputs",
    "features",
    "vocab_size",
    "cardinalities",
}
"""Options of nets that are counts."""

MAX_COUNT = 10**7
"""Largest count; a net with more does not fit in memory."""

MAX_LAYERS = 1_000
"""Entries of a list in model.net, such as hidden layers."""

MAX_ENTRIES = 100_000
"""Entries of any other list."""

MAX_NAMES = 100
"""Entries of a list of names: callbacks, loggers, modules to import."""

MAX_NAME_BYTES = 200
"""Length of the name of a run; file systems support 255 bytes for a folder."""

MAX_SEED = 2**32 - 1

MAX_THREADS = 4_096


def check_length(key: str, value: Any) -> None:
    """Check the length of a list before each of its entries is processed.

    Raises:
        UserError: if the list is too long.
    """
    if key in ("callbacks", "loggers", "imports"):
        limit = MAX_NAMES
    else:
        limit = MAX_LAYERS if key.startswith("model.net.") else MAX_ENTRIES
    if isinstance(value, list) and len(value) > limit:
        raise UserError(f"{key} has {len(value):,} entries; the maximum is {limit:,}", key=key)


def check_general(values: Mapping[str, Any]) -> None:
    """Check the name of the run, its folder, and numbers that concern the whole run.

    Raises:
        UserError: with key, value, and what to write instead.
    """
    _check_name(values["name"])
    if not 0 <= values["seed"] <= MAX_SEED:
        raise UserError(f"seed must be from 0 to {MAX_SEED}", key="seed", value=values["seed"])
    threads = values["threads"]
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UserError(f"threads must be from 1 to {MAX_THREADS}", key="threads", value=threads)
    for key in ("stop_after", "patience"):
        if values[key] is not None and values[key] < 1:
            raise UserError(f"{key} must be at least 1", key=key, value=values[key])
    if values["resume_schedule"] is not None and values["resume"] in (None, "auto"):
        raise UserError(
            "resume_schedule applies to a run that is resumed and trained longer",
            key="resume_schedule",
            value=values["resume_schedule"],
            hint="Name the run and its new length: --resume RUN --trainer.max_epochs 40.",
        )
    root = values["run_root"]
    if not root.strip() or "\0" in root:
        raise UserError("run_root must be a folder, such as runs", key="run_root", value=root)
    if values["overwrite"] and values["resume"] is not None:
        raise UserError(
            f"overwrite is true and resume is {values['resume']}, but one replaces a run and the "
            "other continues it",
            key=("overwrite", "resume"),
            hint="Remove one of them.",
        )


def _check_name(name: str) -> None:
    """Check that the folder of a run is inside the run root.

    Raises:
        UserError: if the name contains a slash, ``$`` or a control character, starts with ``~``, is
            empty, ``.``, ``..`` or too long.
    """
    odd = any(unicodedata.category(c) in ("Cc", "Cs") for c in name)
    inside = name.strip() and name not in (".", "..") and not set(name) & set("/\\$")
    too_long = len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES
    if odd or not inside or name.startswith("~") or too_long:
        raise UserError(
            f"name must be a folder name of at most {MAX_NAME_BYTES} bytes, without slashes, $ or "
            "a leading ~",
            key="name",
            value=name,
            hint="To group runs, set another --run_root.",
        )


def check_numbers(key: str, value: Any) -> None:
    """Check all numbers within a value: no NaN, and integers of at most 64 bits.

    Raises:
        UserError: if a number is NaN or too large.
    """
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for entry in value:
            check_numbers(key, entry)
    elif isinstance(value, float) and math.isnan(value):
        raise UserError(f"{key} must be a number", key=key, value=value)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        digits = len(str(abs(value))) if abs(value) < 10**4000 else "thousands of"
        raise UserError(f"{key} has {digits} digits; the maximum is 64 bits", key=key)


def check_net(options: Mapping[str, Any]) -> None:
    """Check the options of a net of gdlightning: counts of at least 1, dropout in [0, 1).

    Raises:
        UserError: with key, value, and valid range.
    """
    for option, value in options.items():
        key = f"model.net.{option}"
        check_length(key, value)
        for number in value if isinstance(value, list) else [value]:
            if option in COUNTS and number is not None and not 1 <= number <= MAX_COUNT:
                raise UserError(f"{key} must be from 1 to {MAX_COUNT:,}", key=key, value=value)
        if option == "dropout" and not 0 <= value < 1:
            raise UserError(f"{key} must be in [0, 1)", key=key, value=value)
        if option == "expansion" and not 0 < value <= MAX_COUNT:
            raise UserError(f"{key} must be positive", key=key, value=value)
