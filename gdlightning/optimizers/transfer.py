"""From settings that are good for one optimizer to a sensible place for another to start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gdlightning.optimizers.entry import Entry

PASSED_ON = ("lr", "weight_decay")


@dataclass(frozen=True)
class Transfer:
    """Settings for an optimizer that were derived from another's.

    Args:
        options: of the optimizer.
        companion: of the one that takes the parameters which it can't, where there is one.
        words: what was done, for people.
    """

    options: Mapping[str, Any]
    companion: Mapping[str, Any]
    words: str


def transfer(former: Entry, given: Mapping[str, Any], entry: Entry) -> Transfer | None:
    """What ``entry`` should start from where ``former`` was tuned to ``given``.

    Learning rates scale by what papers and libraries say of both beside AdamW; weight decay by the
    inverse where both are decoupled, so that lr × weight decay, the part of the weights that a step
    takes away, stays the same.

    Args:
        former: the optimizer that the settings were for.
        given: its ``lr`` and ``weight_decay``, as far as they were set.
        entry: the optimizer that is to be used instead.

    Returns:
        None where nothing is known of how the two compare, or no learning rate was set.
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
        f"({factor:g} times its lr; {mine.source if mine.lr != 1 else theirs.source})."
    )
    if mine.lr == theirs.lr:
        words = f"{entry.name} starts from {former.name}'s settings: {shown} ({mine.source})."
    return Transfer(options, companion, words)


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")
