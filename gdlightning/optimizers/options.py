"""Options of an optimizer and their valid ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.registry import MODULE, load
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

# Options with the same meaning in all optimizers: lower bound, excluded upper bound, in words.
LIMITS: dict[str, tuple[float, float, str]] = {
    "lr": (0.0, math.inf, "must not be negative"),
    "weight_decay": (0.0, math.inf, "must not be negative"),
    "momentum": (0.0, 1.0, "must be in [0, 1)"),
    "betas": (0.0, 1.0, "must be in [0, 1), such as 0.9,0.999"),
    "eps": (0.0, math.inf, "must not be negative"),
    "rho": (0.0, math.inf, "must not be negative"),
}

HELP = {
    "lr": "peak learning rate",
    "weight_decay": "weight decay of the parameter groups that have one",
    "momentum": "momentum factor",
    "nesterov": "whether to use Nesterov momentum",
    "betas": "decay rates of the running averages",
    "eps": "term added to the denominator for numerical stability",
    "rank": "rank of the projection of matrix gradients",
    "update_proj_gap": "steps between updates of the projection",
    "scale": "multiplier of the projected step",
    "projection_type": "std, reverse_std, right, left, full or random",
    "foreach": "whether to use multi-tensor kernels; selected automatically if None",
    "fused": "whether to use a fused kernel; selected automatically if None",
    "amsgrad": "whether to use the maximum of the second moment",
}


def options(entry: Entry) -> dict[str, Option]:
    """Return the options of an entry by name; imports its class.

    Raises:
        UserError: if the class cannot be imported.
    """
    if entry is MODULE:
        return {}
    skip = {*NOT_OPTIONS, *entry.hidden, *entry.data_options}
    found = {}
    for name, option in options_of(load(entry), skip).items():
        default = entry.defaults.get(name, option.default)
        if isinstance(default, Enum):  # configs only hold plain values
            default = default.value
        if option.type is int and name in LIMITS:  # weight_decay=0 without an annotation
            option, default = replace(option, type=float), float(default)
        help_text = HELP.get(name) or option.help.split(". ")[0]
        found[name] = replace(option, default=default, help=help_text)
    for name, default in entry.matrix_options.items():
        found[name] = Option(name, type(default), default, HELP.get(name, "option of matrices"))
    return found


def check(entry: Entry, given: Mapping[str, Any], where: str = "optimizer") -> None:
    """Raise an error for unknown options and values out of range.

    Args:
        entry: entry of the optimizer.
        given: options by name.
        where: config key, for error messages.

    Raises:
        UserError: with key, value and valid range.
    """
    known = options(entry)
    for name, value in given.items():
        if name not in known:
            raise UserError(
                f"The optimizer {entry.name} has no option {name} ({where}.{name})."
                f"{did_you_mean(name, known)}",
                key=f"{where}.{name}",
                hint=f"Available options: {', '.join(known)}.",
            )
        usual = known[name].default
        pair = isinstance(usual, tuple) and isinstance(value, list | tuple)
        if pair and len(value) != len(usual):
            raise UserError(
                f"{where}.{name} must be {len(usual)} numbers for {entry.name}, such as "
                f"{list(usual)}",
                key=f"{where}.{name}",
                value=list(value),
            )
        low, high, wanted = LIMITS.get(name, (-math.inf, math.inf, "must be finite"))
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if not (math.isfinite(number) and low <= number < high):
                raise UserError(f"{where}.{name} {wanted}", key=f"{where}.{name}", value=value)
