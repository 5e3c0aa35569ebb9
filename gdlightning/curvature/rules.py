"""Update rules of the optimizers of torch.optim on averages of gradients, and their divisors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, Adamax, AdamW, NAdam, RMSprop

Group = Mapping[str, Any]
State = Mapping[str, Any]


@dataclass(frozen=True)
class StabilityRule:
    """Update by lr / P times (``direct`` g + ``mean`` m), with m ← ``decay`` m + (1 - ``decay``) g.

    Args:
        direct: weight of the gradient g.
        mean: weight of its running average m.
        decay: decay rate β of the running average.
        formula: stability limit in symbols.
        divided: whether P differs from 1.
    """

    direct: float
    mean: float
    decay: float
    formula: str
    divided: bool = False

    @property
    def limit(self) -> float:
        """Largest stable lr × curvature, at which -1 is a root of the characteristic polynomial.

        The polynomial is (z - 1)(z - β) + ηλ (direct (z - β) + mean (1 - β) z).
        """
        up, down = 1 + self.decay, 1 - self.decay
        growth = self.direct * up + self.mean * down
        return 2 * up / growth if growth > 0 else math.inf


@dataclass(frozen=True)
class Known:
    """Update rule and divisor of an optimizer class.

    Args:
        rule: function from a group and the state of one of its parameters to the rule.
        root: function from the same to the divisor P, in the shape of the parameter; None if P is
            1.
    """

    rule: Callable[[Group, State], StabilityRule]
    root: Callable[[Group, State], Tensor] | None = None


def _sgd(group: Group, state: State) -> StabilityRule:
    beta, dampening = group["momentum"], group["dampening"]
    if not beta:
        return StabilityRule(1.0, 0.0, 0.0, "2")
    if group["nesterov"]:
        return StabilityRule(1.0, beta / (1 - beta), beta, "2(1+β)/(1+2β)")
    formula = "2(1+β)/(1-dampening)" if dampening else "2(1+β)"
    return StabilityRule(0.0, (1 - dampening) / (1 - beta), beta, formula)


def _adam(group: Group, state: State) -> StabilityRule:
    return StabilityRule(0.0, 1.0, group["betas"][0], "2(1+β1)/(1-β1)", divided=True)


def _nadam(group: Group, state: State) -> StabilityRule:
    """Return the rule at the current step, as μ grows slowly from β1 / 2 to β1."""
    beta, step = group["betas"][0], float(state.get("step", 0))
    now, then = (beta * (1 - 0.5 * 0.96 ** ((step + k) * group["momentum_decay"])) for k in (0, 1))
    passed = float(state.get("mu_product", 0))
    direct, mean = (1 - now) / (1 - passed), then / (1 - passed * then)
    return StabilityRule(direct, mean, beta, "2(1+β1)/((1-μ)(1+β1)+μ'(1-β1))", divided=True)


def _rmsprop(group: Group, state: State) -> StabilityRule:
    beta = group["momentum"]
    if not beta:
        return StabilityRule(1.0, 0.0, 0.0, "2", divided=True)
    return StabilityRule(0.0, 1 / (1 - beta), beta, "2(1+β)", divided=True)


def _adagrad(group: Group, state: State) -> StabilityRule:
    return StabilityRule(1.0, 0.0, 0.0, "2", divided=True)


def _adam_root(group: Group, state: State) -> Tensor:
    square = state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
    first, second = (1 - beta ** float(state["step"]) for beta in group["betas"])
    root: Tensor = ((square / second).sqrt() + group["eps"]) * first
    return root


def _nadam_root(group: Group, state: State) -> Tensor:
    second = 1 - group["betas"][1] ** float(state["step"])
    root: Tensor = (state["exp_avg_sq"] / second).sqrt() + group["eps"]
    return root


def _adamax_root(group: Group, state: State) -> Tensor:
    root: Tensor = state["exp_inf"] * (1 - group["betas"][0] ** float(state["step"]))
    return root


def _rmsprop_root(group: Group, state: State) -> Tensor:
    square = state["square_avg"]
    if group["centered"]:
        square = square - state["grad_avg"].square()
    root: Tensor = square.sqrt() + group["eps"]
    return root


def _adagrad_root(group: Group, state: State) -> Tensor:
    slower = 1 + (float(state["step"]) - 1) * group["lr_decay"]
    root: Tensor = (state["sum"].sqrt() + group["eps"]) * slower
    return root


RULES: Mapping[type, Known] = {
    SGD: Known(_sgd),
    Adam: Known(_adam, _adam_root),
    AdamW: Known(_adam, _adam_root),
    NAdam: Known(_nadam, _nadam_root),
    Adamax: Known(_adam, _adamax_root),
    RMSprop: Known(_rmsprop, _rmsprop_root),
    Adagrad: Known(_adagrad, _adagrad_root),
}
"""Rules by exact class, as subclasses may have different steps."""
