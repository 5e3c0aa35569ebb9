"""Construction of a torch optimizer over the parameters of a module."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from gdlightning.errors import UserError
from gdlightning.optimizers.assignment import share, sparse_parameters
from gdlightning.optimizers.chain import Chain
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Group, Grouping, freeze, group
from gdlightning.optimizers.in_backward import InBackward
from gdlightning.optimizers.options import options
from gdlightning.optimizers.registry import load

__all__ = ["Choice", "Context", "Part", "build", "check_complete"]


@dataclass(frozen=True)
class Context:
    """Facts about the run that optimizers may need.

    Args:
        steps: optimizer steps of the whole run.
        steps_per_epoch: optimizer steps per epoch.
        examples: number of training examples.
        scaler: whether gradients are scaled for float16, which fused steps would unscale
            themselves.
    """

    steps: int = 1000
    steps_per_epoch: int = 100
    examples: int = 1000
    scaler: bool = False


@dataclass(frozen=True)
class Part:
    """Parameter groups of one optimizer, for the table."""

    optimizer: str
    groups: list[Group]
    lr: float | None


def build(
    choice: Choice, module: nn.Module, grouping: Grouping, context: Context
) -> tuple[Optimizer, list[Part]]:
    """Build one optimizer over all trainable parameters of a module.

    Args:
        choice: optimizer with its options.
        module: module to train.
        grouping: rules of the parameter groups.
        context: facts about the run.

    Returns:
        The optimizer, and the parameter groups by optimizer.

    Raises:
        UserError: if the optimizer does not support the parameters, options or patterns.
    """
    optimizer, parts = _built(choice, module, grouping, context)
    check_complete(optimizer, module)
    return optimizer, parts


def check_complete(optimizer: Optimizer, module: nn.Module) -> None:
    """Check that every trainable parameter is in exactly one group.

    Raises:
        UserError: with the name of the first parameter in no group, or in several.
    """
    count = Counter(id(p) for g in optimizer.param_groups for p in g["params"])
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and count[id(parameter)] != 1:
            where = "several groups" if count[id(parameter)] else "no group"
            raise UserError(
                f"The parameter {name} is in {where} of {type(optimizer).__name__}; "
                "each parameter must be in exactly one.\n"
                "To exclude a parameter from training, freeze it with groups.freeze."
            )


def _built(
    choice: Choice, module: nn.Module, grouping: Grouping, context: Context
) -> tuple[Optimizer, list[Part]]:
    freeze(module, grouping)
    parts, made, names = [], [], []
    for own, taken in share(choice, module):
        groups = group(module, grouping, own.value("weight_decay"), taken)
        parts.append(Part(own.entry.name, groups, own.value("lr")))
        for piece in _single(groups) if choice.in_backward else [groups]:
            made.append(_make(own, piece, module, context))
            names.append(piece[0].names[0] if choice.in_backward else own.entry.name)
    if choice.in_backward:
        return InBackward([_wrapped(choice, m) for m in made], names), parts
    whole = made[0] if len(made) == 1 else Chain(made, names)
    return _wrapped(choice, whole), parts


def _single(groups: list[Group]) -> list[list[Group]]:
    """Split groups into one group per parameter."""
    return [
        [replace(g, names=[name], params=[parameter])]
        for g in groups
        for name, parameter in zip(g.names, g.params, strict=True)
    ]


def _wrapped(choice: Choice, optimizer: Optimizer) -> Optimizer:
    for wrapping in reversed(choice.wrappers):  # the first wrapper is the outermost
        optimizer = wrapping.around(optimizer)
    return optimizer


def _make(
    choice: Choice,
    groups: list[Group],
    module: nn.Module,
    context: Context,
) -> Optimizer:
    entry, settings = choice.entry, choice.settings()
    known = options(entry)
    cls: Any = load(entry)
    if choice.base is not None and "lr" not in known:  # wraps an optimizer instance
        return cls(_make(choice.base, groups, module, context), **settings)  # type: ignore[no-any-return]
    lr = choice.value("lr")
    of_matrices = {k: settings.pop(k, v) for k, v in entry.matrix_options.items()}
    given = []
    for g in groups:
        row: dict[str, Any] = {"params": g.params, "name": f"{entry.name}/{g.label}"}
        if lr is not None:
            row["lr"] = g.lr if g.lr is not None else lr * g.lr_factor
        if g.weight_decay is not None and "weight_decay" in known:
            row["weight_decay"] = g.weight_decay
        if g.kind == "matrix":
            row |= of_matrices
        if entry.group_mark:
            row[entry.group_mark] = g.kind == "matrix"
        given.append(row)
    given = _merged(given)
    if "one group" in entry.needs:
        given = [{"params": [p for g in groups for p in g.params], "name": entry.name}]
    for option, what in entry.data_options.items():
        settings[option] = getattr(context, what)
    mine = {p for g in groups for p in g.params}
    if (
        entry.package == "torch"
        and "fused" in known
        and "fused" not in settings
        and "foreach" not in settings
        and _can_fuse(mine, context)
        and not (mine & sparse_parameters(module))
    ):
        settings["fused"] = True
    if choice.base is not None:
        base = choice.base
        settings["base"] = functools.partial(load(base.entry), **_without(base.settings(), "lr"))
    try:
        if "model" in entry.needs:
            return cls(module, **settings)  # type: ignore[no-any-return]
        return cls(given, **settings)  # type: ignore[no-any-return]
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"The optimizer {entry.name} rejected its options: {error}", key="optimizer"
        ) from error


def _merged(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge groups with the same settings, because each group adds to the cost of a step."""
    found: dict[str, dict[str, Any]] = {}
    for own in groups:
        settings = repr({k: v for k, v in own.items() if k not in ("params", "name")})
        if settings not in found:
            found[settings] = {**own, "params": list(own["params"])}
            continue
        found[settings]["params"] += own["params"]
        found[settings]["name"] += "+" + own["name"].split("/")[-1]
    return list(found.values())


def _can_fuse(params: set[nn.Parameter], context: Context) -> bool:
    """Return whether torch has fused kernels for all parameters.

    Fused steps differ from unfused ones in the last bit.
    """
    return not context.scaler and all(
        torch.is_floating_point(p) and p.device.type in ("cpu", "cuda") for p in params
    )


def _without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k != name}
