"""Sharpness-aware minimisation with any base optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer


class SAM(Optimizer):
    """Optimizer that uses the gradient at the worst point near the weights.

    Each step evaluates the closure twice: at w for the gradient g, and at w + ρ g / |g| for the
    gradient that the base optimizer applies at w. The method is from Foret et al. 2021
    (arXiv:2010.01412), the adaptive variant from Kwon et al. 2021 (arXiv:2102.11600).

    Args:
        params: parameters or groups.
        base: factory of the base optimizer, called as ``base(groups, lr=lr)``.
        lr: peak learning rate of the base optimizer.
        rho: radius of the neighbourhood, in units of the weights.
        adaptive: whether the radius is relative to the size of each weight (ASAM).
        weight_decay: weight decay of the base optimizer.

    Raises:
        ValueError: if ``rho`` is negative.
    """

    def __init__(
        self,
        params: Iterable[Any],
        base: Callable[..., Optimizer] = SGD,
        lr: float = 0.1,
        rho: float = 0.05,
        adaptive: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        if not rho >= 0:
            raise ValueError(f"rho must not be negative (got {rho})")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.rho, self.adaptive = rho, adaptive
        self.base = base(self.param_groups, lr=lr)
        self._share()

    def _share(self) -> None:
        # Share groups and state, so that schedules reach the base optimizer.
        self.param_groups, self.state = self.base.param_groups, self.base.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the gradient at the worst point, return to the weights, and step.

        Raises:
            RuntimeError: if no closure is given.
        """
        if closure is None:
            raise RuntimeError("SAM needs a closure that evaluates loss and gradient.")
        evaluate = torch.enable_grad()(closure)
        loss = evaluate()
        params = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        kept = [p.clone() for p in params]
        for parameter, ascent in zip(params, self._ascent(params), strict=True):
            parameter.add_(ascent)
        evaluate()
        for parameter, before in zip(params, kept, strict=True):
            parameter.copy_(before)
        self.base.step()
        return loss

    def _ascent(self, params: list[Tensor]) -> list[Tensor]:
        gradients = [p.grad for p in params if p.grad is not None]
        if self.adaptive:
            scaled = [p.abs() * g for p, g in zip(params, gradients, strict=True)]
            norm = torch.nn.utils.get_total_norm(scaled) + 1e-12
            return [p.abs() * s * (self.rho / norm) for p, s in zip(params, scaled, strict=True)]
        norm = torch.nn.utils.get_total_norm(gradients) + 1e-12
        return [g * (self.rho / norm) for g in gradients]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the base optimizer."""
        self.base.load_state_dict(state_dict)
        self._share()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base optimizer; SAM itself has none."""
        return self.base.state_dict()
