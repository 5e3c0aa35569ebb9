"""Derive settings for an optimizer on the command line from those of the config's optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gdlightning.config.settings import PYTHON, Setting
from gdlightning.errors import COMMAND_LINE, UserError
from gdlightning.optimizers.registry import find
from gdlightning.optimizers.transfer import PASSED_ON, transfer


def transferred(merged: dict[str, Setting], former: Mapping[str, Setting]) -> str:
    """Add settings derived from those of the previous optimizer, unless they are set.

    Args:
        merged: dotted key → setting, changed in place.
        former: settings of the previous optimizer.

    Returns:
        Message that describes the derived settings; empty if there are none.
    """
    chosen = merged.get("optimizer.name")
    if chosen is None or chosen.origin not in (COMMAND_LINE, PYTHON) or "optimizer.lr" in merged:
        return ""
    try:
        before, now = (find(str(s.value)) for s in (former["optimizer.name"], chosen))
    except (UserError, KeyError):  # schema.check raises the error
        return ""
    given = {
        k: _number(former[f"optimizer.{k}"].value) for k in PASSED_ON if f"optimizer.{k}" in former
    }
    found = transfer(before, given, now)
    if found is None:
        return ""
    origin = f"derived from {before.name}'s in {former['optimizer.name'].origin}"
    derived = {f"optimizer.{k}": v for k, v in found.options.items()}
    if found.companion and "optimizer.companion.name" not in merged:
        derived["optimizer.companion.name"] = before.name
        derived |= {f"optimizer.companion.{k}": v for k, v in found.companion.items()}
    for key, value in derived.items():
        merged.setdefault(key, Setting(key, value, origin))
    return f"{found.words} --optimizer.lr sets another."


def _number(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):  # typed_values.parse raises the error
        return value
