"""Lookahead: k steps forward, one step back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.optimizers.wrappers.wrapper import Wrapper

__all__ = ["Lookahead"]


class Lookahead(Wrapper):
    """Every k steps the weights go only a part of the way from where they were.

    φ ← φ + α (θ − φ), θ ← φ, for the slow weights φ and the base's own θ. The base keeps its
    state over that. Between two such steps θ is what is evaluated and saved; φ stands in the
    optimizer's state. Zhang et al. 2019 (arXiv:1907.08610).

    Args:
        base: any optimizer.
        k: steps of the base between two steps of the slow weights.
        alpha: the part of the way, above 0, at most 1.

    Raises:
        ValueError: k or alpha is out of range.
    """

    moves: ClassVar[bool] = True

    def __init__(self, base: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be above 0, at most 1, not {alpha}")
        super().__init__(base)
        self.k, self.alpha = k, alpha
        self.made = 0
        self.slow: list[Tensor] = []

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of the base and, every k of them, one of the slow weights."""
        if not self.slow:
            self.slow = [p.detach().clone() for p in self.weights()]
        loss = super().step(closure)
        self.made += 1
        if self.made % self.k == 0:
            self._meet()
        return loss

    @torch.no_grad()
    def _meet(self) -> None:
        for slow, fast in zip(self.slow, self.weights(), strict=True):
            slow.lerp_(fast, self.alpha)
            fast.copy_(slow)

    def state_dict(self) -> dict[str, Any]:
        """The base's, the slow weights, and the steps made."""
        return super().state_dict() | {"slow": list(self.slow), "made": self.made}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with them.

        Raises:
            ValueError: the state comes from another optimizer.
        """
        super().load_state_dict(state_dict)
        saved = zip(state_dict["slow"], self.weights(), strict=bool(state_dict["slow"]))
        self.slow = [s.to(p.device, p.dtype, copy=True) for s, p in saved]
        self.made = state_dict["made"]
