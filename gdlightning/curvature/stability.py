"""The stability limit of optimizers: the largest stable product of learning rate and curvature.

On a quadratic with curvature λ, gradient descent with learning rate η multiplies the distance to
the minimum by 1 - ηλ in each step, so it is stable up to ηλ = 2. Averages of gradients change this
limit. If the step of each coordinate is divided by P, the relevant curvature is that of P^-½ H P^-½
(Cohen et al. 2022, arXiv:2207.14484).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.curvature.rules import RULES, StabilityRule


def rule_of(optimizers: Sequence[Optimizer]) -> StabilityRule | None:
    """Return the update rule shared by all groups of some optimizers, or None.

    Args:
        optimizers: optimizers in their current state.

    Returns:
        The rule; None if it is unknown for an optimizer or differs between groups.
    """
    found: set[StabilityRule] = set()
    for optimizer in optimizers:
        known = RULES.get(type(optimizer))
        if known is None:
            return None
        found |= {known.rule(g, _first_state(optimizer, g)) for g in optimizer.param_groups}
    return found.pop() if len(found) == 1 else None


def rates_of(
    optimizers: Sequence[Optimizer], parameters: Mapping[str, Tensor], lr: str = "lr"
) -> Tensor:
    """Return the learning rate of each coordinate, float64 [N], or 0 if it is not trained.

    Args:
        optimizers: optimizers of some or all parameters.
        parameters: parameters of the Hessian, which set the order.
        lr: key of the groups: ``lr``, or ``initial_lr`` for the peak of a schedule.
    """
    groups = [g for o in optimizers for g in o.param_groups]
    rate = {id(p): float(g.get(lr, g["lr"])) for g in groups for p in g["params"]}
    return torch.cat([_filled(p, rate.get(id(p), 0.0)) for p in parameters.values()])


def roots_of(optimizers: Sequence[Optimizer], parameters: Mapping[str, Tensor]) -> Tensor | None:
    """Return the divisor P of each coordinate's step, float64 [N].

    P is 1 for optimizers that do not divide, and infinite for coordinates without a step so far.

    Args:
        optimizers: optimizers in their current state.
        parameters: parameters of the Hessian, which set the order.

    Returns:
        The divisors; None if an optimizer is unknown, or has no state yet.
    """
    pieces: dict[int, Tensor] = {}
    for optimizer in optimizers:
        known = RULES.get(type(optimizer))
        if known is None:
            return None
        if known.root is not None and not any(map(_stepped, optimizer.state.values())):
            return None
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                root = _filled(parameter, 1.0 if known.root is None else math.inf)
                state = optimizer.state.get(parameter, {})
                if known.root is not None and _stepped(state):
                    root = known.root(group, state).detach().cpu().double().flatten()
                pieces[id(parameter)] = root
    return torch.cat([pieces.get(id(p), _filled(p, math.inf)) for p in parameters.values()])


def _stepped(state: Mapping[str, Any]) -> bool:
    return bool(state) and float(state.get("step", 1)) > 0


def _filled(parameter: Tensor, value: float) -> Tensor:
    return torch.full((parameter.numel(),), value, dtype=torch.float64)


def _first_state(optimizer: Optimizer, group: Mapping[str, object]) -> Mapping[str, object]:
    params = group["params"]
    states = (optimizer.state.get(p) for p in params) if isinstance(params, list) else ()
    return next((s for s in states if s), {})
