"""Transfer of tuned settings from one optimizer to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gdlightning.optimizers.entry import Entry

PASSED_ON = ("lr", "weight_decay")
"""Options that are passed on to the companion unchanged."""


@dataclass(frozen=True)
class Transfer:
    """Settings of an optimizer that were derived from those of another.

    Args:
        options: options of the optimizer.
        companion: options of its companion; empty if it has none.
        words: description of the transfer for the user.
    """

    options: Mapping[str, Any]
    companion: Mapping[str, Any]
    words: str


def transfer(former: Entry, given: Mapping[str, Any], entry: Entry) -> Transfer | None:
    """Derive initial settings of ``entry`` from settings tuned for ``former``.

    Learning rates are scaled by the ratios to AdamW's that papers and libraries recommend. Weight
    decay is scaled inversely if both optimizers decouple it, so that lr × weight decay, the
    relative shrinkage per step, is unchanged.

    Args:
        former: optimizer that the settings were tuned for.
        given: ``lr`` and ``weight_decay``, if set.
        entry: optimizer to use instead.

    Returns:
        The settings; None if the ratio is unknown for either optimizer, or no learning rate was
        set.
    """
    mine, theirs = entry.likeness, former.likeness
    lr = given.get("lr")
    if mine is None or theirs is None or not isinstance(lr, int | float) or former == entry:
        return None
    factor = mine.lr / theirs.lr
    options: dict[str, Any] = {**mine.options, "lr": _rounded(lr * factor)}
    decay = given.get("weight_decay")
    if isinstance(decay, int | float) and mine.decoupled and theirs.decoupled:
        options["weight_decay"] = _rounded(decay / factor)
    takes = "matrices" in entry.needs
    companion = {k: given[k] for k in PASSED_ON if k in given} if takes else {}
    shown = ", ".join(f"{k} {v}" for k, v in options.items())
    words = (
        f"{entry.name} starts from {former.name}'s settings: {shown} "
        f"({factor:g} times the lr; {mine.source if mine.lr != 1 else theirs.source})."
    )
    if mine.lr == theirs.lr:
        words = f"{entry.name} starts from {former.name}'s settings: {shown} ({mine.source})."
    return Transfer(options, companion, words)


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")
