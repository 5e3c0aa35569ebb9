"""Cautious optimizers."""

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
    """Removes the components of a step that point along the gradient, and scales up the others.

    For the base's step u and the gradient g, the step is u · m / mean(m), where the mask m is 1
    where u · g < 0 and otherwise 0; the mean is over each tensor. The method is from Liang et al.
    2024 (arXiv:2411.16085).

    The step is the difference of the weights, so that any optimizer can be the base. Decoupled
    weight decay is excluded from u if the groups declare it (``decoupled_weight_decay`` in torch,
    ``weight_decouple`` in pytorch-optimizer). Otherwise it is masked like the rest of the step.

    Args:
        base: any optimizer.
        floor: lower bound of mean(m).

    Raises:
        ValueError: if ``floor`` is out of range.
    """

    moves: ClassVar[bool] = True

    def __init__(self, base: Optimizer, floor: float = 1e-3) -> None:
        if not 0 < floor <= 1:
            raise ValueError(f"floor must be positive and at most 1 (got {floor})")
        super().__init__(base)
        self.floor = floor
        self._moved: list[int] = []
        self._signs: list[Tensor] = []
        self._before: list[Tensor] = []

    def see(self) -> None:
        """Store the signs of the gradients, because the base may change them in place."""
        found = [(k, p.grad) for k, p in enumerate(self.weights()) if p.grad is not None]
        self._moved = [k for k, _ in found]
        self._signs = _kept(
            self._signs, [g.to_dense() if g.is_sparse else g.detach() for _, g in found]
        )
        if found:
            torch._foreach_sign_(self._signs)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step the base, then mask its step."""
        weights, self._moved = [p.detach() for p in self.weights()], []
        self._before = _kept(self._before, weights)
        with self._without_decay() as decays:
            loss = super().step(closure)
        if self._moved:
            rows = [(weights[k], self._before[k], 1 - decays[k]) for k in self._moved]
            self._mask(*(list(column) for column in zip(*rows, strict=True)))
        return loss

    def _mask(self, weights: list[Tensor], before: list[Tensor], left: list[float]) -> None:
        """Mask the step, in place because allocating memory is slow."""
        masks, steps = self._signs, weights
        torch._foreach_sub_(steps, before)
        torch._foreach_mul_(masks, steps)
        torch._foreach_sign_(masks)  # -1 where step and gradient differ in sign
        torch._foreach_clamp_max_(masks, 0)
        torch._foreach_neg_(masks)
        shares = torch.stack([m.mean() for m in masks]).clamp_min_(self.floor)
        torch._foreach_mul_(steps, masks)
        torch._foreach_div_(steps, list(shares))
        torch._foreach_mul_(before, left)
        torch._foreach_add_(steps, before)

    @contextlib.contextmanager
    def _without_decay(self) -> Iterator[list[float]]:
        """Disable decoupled weight decay in the base; yield the relative decay per weight."""
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


def _kept(buffers: list[Tensor], values: list[Tensor]) -> list[Tensor]:
    """Return copies of the values, reusing the buffers of the last step if they fit."""
    fit = len(buffers) == len(values) and all(
        b.shape == v.shape and b.dtype == v.dtype and b.device == v.device
        for b, v in zip(buffers, values, strict=True)
    )
    if not fit:
        return [v.clone() for v in values]
    if values:
        torch._foreach_copy_(buffers, values)
    return buffers


def _decoupled(group: dict[str, Any]) -> float:
    """Return the fraction of a weight that decoupled decay removes per step; 0 without decay."""
    if not (group.get("decoupled_weight_decay") or group.get("weight_decouple")):
        return 0.0
    decay = float(group.get("weight_decay", 0.0))
    return decay if group.get("fixed_decay") else decay * float(group["lr"])
