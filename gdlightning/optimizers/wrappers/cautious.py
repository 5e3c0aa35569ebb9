"""Cautious steps: only where step and gradient agree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.optimizers.wrappers.wrapper import Wrapper

__all__ = ["Cautious"]


class Cautious(Wrapper):
    """Leaves out of a step what goes up the present gradient, and scales the rest.

    With the base's step u and the gradient g: u ← u · m / mean(m), where m is 1 where u · g < 0,
    else 0; the mean is over the tensor. Liang et al. 2024 (arXiv:2411.16085).

    The step is read off the weights, before and after, so that any optimizer can be the base.
    Decoupled weight decay is no part of u and is left whole, where the groups tell of it
    (``decoupled_weight_decay`` of torch's, ``weight_decouple`` of pytorch-optimizer's);
    elsewhere it is masked with the step.

    Args:
        base: any optimizer.
        floor: the least mean that a step is divided by.

    Raises:
        ValueError: floor is not above 0.
    """

    moves: ClassVar[bool] = True

    def __init__(self, base: Optimizer, floor: float = 1e-3) -> None:
        if not 0 < floor <= 1:
            raise ValueError(f"floor must be above 0, at most 1, not {floor}")
        super().__init__(base)
        self.floor = floor
        self._slopes: list[Tensor | None] = []

    def see(self) -> None:
        """Keep the signs of the gradients: the base may change them in place."""
        self._slopes = [None if p.grad is None else _signs(p.grad) for p in self.weights()]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of the base, masked."""
        before = [p.detach().clone() for p in self.weights()]
        with self._without_decay() as decays:
            loss = super().step(closure)
        for row in zip(self.weights(), before, self._slopes, decays, strict=True):
            self._mask(*row)
        self._slopes = []
        return loss

    @torch.no_grad()
    def _mask(self, weight: Tensor, before: Tensor, slope: Tensor | None, decay: float) -> None:
        if slope is None:
            return
        step = weight - before
        agrees = (step * slope < 0).to(step.dtype)
        step.mul_(agrees).div_(agrees.mean().clamp_min(self.floor))
        weight.copy_(before.mul_(1 - decay).add_(step))

    @contextlib.contextmanager
    def _without_decay(self) -> Iterator[list[float]]:
        """Take decoupled decay out of the base's step; gives the part of each weight it takes."""
        groups = self.param_groups
        decays = [p for g in groups for p in [_decoupled(g)] * len(g["params"])]
        kept = [g["weight_decay"] if _decoupled(g) else None for g in groups]
        for group, decay in zip(groups, kept, strict=True):
            if decay is not None:
                group["weight_decay"] = 0.0
        try:
            yield decays
        finally:
            for group, decay in zip(groups, kept, strict=True):
                if decay is not None:
                    group["weight_decay"] = decay


def _signs(gradient: Tensor) -> Tensor:
    dense = gradient.to_dense() if gradient.is_sparse else gradient
    return dense.sign().to(torch.int8)


def _decoupled(group: dict[str, Any]) -> float:
    """The part of a weight that one step's decoupled decay takes; 0 if there is none."""
    if not (group.get("decoupled_weight_decay") or group.get("weight_decouple")):
        return 0.0
    decay = float(group.get("weight_decay", 0.0))
    return decay if group.get("fixed_decay") else decay * float(group["lr"])
