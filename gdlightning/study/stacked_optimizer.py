"""An optimizer over stacked copies of a model, with a learning rate and weight decay per copy.

Stacking works for optimizers whose step is the learning rate times a function of each weight's
gradients. The optimizer steps on zeros in place of the stacked weights with learning rate 1, which
gives the direction of each copy's step.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.options import options

Decay = Literal["none", "coupled", "decoupled"]
"""Form of weight decay: part of the gradient, or of the step."""
PLAIN = Grouping(decay=("matrix", "output", "embedding", "vector"))
PROBES, LRS = 60, (1e-4, 1e-3, 3e-2)
"""Number of steps and learning rates of the test whether an optimizer can be stacked."""
TOLERANCE = 1e-9
"""Relative difference due to rounding, in float64."""


class Stacked:
    """Optimizer on stacked weights.

    Args:
        choice: optimizer; its lr and weight decay are ignored.
        kind: form of weight decay, from ``accepted``.
        weights: stacked weights by name, [R, ...]; changed in place.
        lrs: learning rate of each copy, [R].
        decays: weight decay of each copy by name, [R].
        factors: learning-rate factor by name.
    """

    def __init__(
        self,
        choice: Choice,
        kind: Decay,
        weights: dict[str, Tensor],
        lrs: Tensor,
        decays: dict[str, Tensor],
        factors: dict[str, float] | None = None,
    ) -> None:
        self.kind = kind
        self.weights = list(weights.values())
        self.directions = nn.ParameterList(nn.Parameter(torch.zeros_like(w)) for w in self.weights)
        self.optimizer = _unit(choice, self.directions)
        scale = factors or {}
        self.lrs = [_column(lrs * scale.get(k, 1.0), w) for k, w in weights.items()]
        self.decays = [_column(decays[k], w) for k, w in weights.items()]
        self.decaying = [k for k, d in enumerate(self.decays) if bool(d.any())]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], factor: float = 1.0) -> None:
        """Perform a step.

        Args:
            gradients: gradients of the stacked weights, in order.
            factor: multiplier of all learning rates, from the schedule.
        """
        lrs = self.lrs if factor == 1.0 else torch._foreach_mul(self.lrs, factor)
        if self.kind == "coupled":
            for k in self.decaying:
                gradients[k].addcmul_(self.weights[k], self.decays[k])
        elif self.kind == "decoupled":
            for k in self.decaying:
                self.weights[k].mul_(1 - lrs[k] * self.decays[k])
        torch._foreach_zero_(list(self.directions))
        for direction, gradient in zip(self.directions, gradients, strict=True):
            direction.grad = gradient
        self.optimizer.step()
        torch._foreach_addcmul_(self.weights, list(self.directions), lrs)


def _column(values: Tensor, weight: Tensor) -> Tensor:
    """Reshape values [R] to [R, 1, ...] to match a stacked weight."""
    return values.to(weight).view(-1, *[1] * (weight.ndim - 1))


def _unit(choice: Choice, parameters: nn.ParameterList) -> Optimizer:
    settings = {k: v for k, v in choice.options.items() if k not in ("lr", "weight_decay")}
    known = options(choice.entry)
    zero = {"weight_decay": 0.0} if "weight_decay" in known else {}
    own = Choice.of({"name": choice.entry.name, **settings, "lr": 1.0, **zero})
    optimizer, _ = build(own, parameters, PLAIN, Context())
    return optimizer


def accepted(choice: Choice) -> Decay:
    """Return the form of weight decay of an optimizer that can be stacked.

    Raises:
        UserError: if the optimizer cannot be stacked.
    """
    name, kept = choice.entry.name, dict(choice.options)
    for key in ("lr", "weight_decay"):
        kept.pop(key, None)
    try:
        kind = _tried(name, repr(sorted(kept.items())), tuple(kept.items()))
    except TypeError:  # of a value that no option has; a training of its own tells what is wrong
        kind = None
    if kind is None or choice.needs or choice.wrappers or choice.shares or choice.in_backward:
        raise UserError(
            f"The optimizer {name} cannot train stacked copies: its step is not the learning rate "
            "times a function of each weight's gradients.\n"
            "Train the runs one by one, or use an optimizer such as adamw, sgd, lion or adagrad."
        )
    return kind


@functools.lru_cache(maxsize=512)
def _tried(name: str, _: str, given: tuple[tuple[str, object], ...]) -> Decay | None:
    """Test an optimizer by a few steps on stacked copies, compared with separate runs."""
    choice = Choice.of({"name": name, **dict(given)})
    if choice.needs or "lr" not in options(choice.entry):
        return None
    kinds: tuple[Decay, ...] = ("none",)
    if "weight_decay" in options(choice.entry):
        kinds = ("decoupled", "coupled")
    for kind in kinds:
        try:
            if _agrees(choice, kind):
                return kind
        except Exception:  # third-party optimizers may raise anything
            continue
    return None


def _agrees(choice: Choice, kind: Decay) -> bool:
    """Return whether stacked steps equal separate steps, for gradients of different sizes."""
    decays = (0.0, 0.0, 0.0) if kind == "none" else (0.1, 0.0, 0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        starts = torch.randn(3, 6, 5, dtype=torch.float64)
        noise = torch.randn(PROBES, 3, 6, 5, dtype=torch.float64)
    sizes = torch.logspace(-2, 1, 7, dtype=torch.float64)

    def gradients(weights: Tensor, step: int) -> Tensor:
        size = sizes[torch.arange(3) + step % 5].view(3, 1, 1)
        return size * (0.3 * weights + noise[step])

    stacked = starts.clone()
    ours = Stacked(choice, kind, {"w": stacked}, _double(LRS), {"w": _double(decays)})
    alone = [_alone(choice, kind, *own) for own in zip(starts, LRS, decays, strict=True)]
    for step in range(PROBES):
        given, factor = gradients(stacked, step), 1.0 / (1 + step % 2)
        for (optimizer, weight), gradient, lr in zip(alone, given, LRS, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
            weight.grad = gradient.clone()
            optimizer.step()
        ours.step([given], factor)
    weights = torch.stack([weight.detach() for _, weight in alone])
    return torch.allclose(weights, stacked, rtol=TOLERANCE, atol=TOLERANCE) and not bool(
        (stacked == starts).flatten(1).all(1).any()
    )


def _alone(
    choice: Choice, kind: Decay, start: Tensor, lr: float, decay: float
) -> tuple[Optimizer, nn.Parameter]:
    weight = nn.Parameter(start.clone())
    own = {"weight_decay": decay} if kind != "none" else {}
    named = {"name": choice.entry.name, **dict(choice.options), "lr": lr, **own}
    return build(Choice.of(named), nn.ParameterList([weight]), PLAIN, Context())[0], weight


def _double(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
