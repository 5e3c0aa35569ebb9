"""The options of an optimizer, and the values of them that make sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.registry import load
from gdlightning.signature import Option, options_of

NOT_OPTIONS = (
    "params",
    "model",
    "optimizer",
    "base",
    "defaults",
    "maximize",
    "capturable",
    "differentiable",
)

# Names that mean one thing everywhere: lowest value, value that it stays below, in words.
LIMITS: dict[str, tuple[float, float, str]] = {
    "lr": (0.0, math.inf, "a number of 0 or more"),
    "weight_decay": (0.0, math.inf, "a number of 0 or more"),
    "momentum": (0.0, 1.0, "a number from 0 to below 1"),
    "betas": (0.0, 1.0, "numbers from 0 to below 1, such as 0.9,0.999"),
    "eps": (0.0, math.inf, "a number of 0 or more"),
    "rho": (0.0, math.inf, "a number of 0 or more"),
}

HELP = {
    "lr": "peak learning rate",
    "weight_decay": "weight decay of the parameter groups that have any",
    "momentum": "momentum factor",
    "nesterov": "Nesterov's momentum",
    "betas": "decay rates of the running averages",
    "eps": "added to a denominator for stability",
    "rank": "of the space that gradients of matrices are projected to",
    "update_proj_gap": "steps between two choices of that space",
    "scale": "factor of the projected step",
    "projection_type": "std, reverse_std, right, left, full or random",
    "foreach": "one kernel call over all parameters; chosen by itself if not given",
    "fused": "one kernel for the whole step; chosen by itself if not given",
    "amsgrad": "keep the maximum of the second moment",
}


def options(entry: Entry) -> dict[str, Option]:
    """The options of an entry by name; imports its class.

    Raises:
        UserError: the class can't be imported.
    """
    skip = {*NOT_OPTIONS, *entry.hidden, *entry.data_options}
    found = {}
    for name, option in options_of(load(entry), skip).items():
        default = entry.defaults.get(name, option.default)
        if isinstance(default, Enum):  # a config holds plain values
            default = default.value
        if option.type is int and name in LIMITS:  # weight_decay=0 without annotation is a float
            option, default = replace(option, type=float), float(default)
        help_text = HELP.get(name) or option.help.split(". ")[0]
        found[name] = replace(option, default=default, help=help_text)
    for name, default in entry.matrix_options.items():
        found[name] = Option(name, type(default), default, HELP.get(name, "of matrices"))
    return found


def check(entry: Entry, given: Mapping[str, Any], where: str = "optimizer") -> None:
    """Refuse options that the optimizer does not have, and values that can't be meant.

    Raises:
        UserError: with key, value, and what to write instead.
    """
    known = options(entry)
    for name, value in given.items():
        if name not in known:
            raise UserError(
                f"The optimizer {entry.name} has no option {name} ({where}.{name})."
                f"{did_you_mean(name, known)}\n"
                f"Its options: {', '.join(known)}."
            )
        usual = known[name].default
        pair = isinstance(usual, tuple) and isinstance(value, list | tuple)
        if pair and len(value) != len(usual):
            raise UserError(
                f"{where}.{name} is {list(value)}; {entry.name} takes {len(usual)} numbers, e.g. "
                f"{list(usual)}."
            )
        low, high, hint = LIMITS.get(name, (-math.inf, math.inf, "a finite number"))
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if not (math.isfinite(number) and low <= number < high):
                raise UserError(f"{where}.{name} is {value}; write {hint}.")
