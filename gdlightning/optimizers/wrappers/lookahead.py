"""The Lookahead optimizer: k steps forward, one step back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.optimizers.wrappers.wrapper import Wrapper

__all__ = ["Lookahead"]


class Lookahead(Wrapper):
    """Moves slow weights a fraction of the way to the weights every k steps, and resets to them.

    With slow weights φ and the base's weights θ, every k steps φ ← φ + α (θ − φ) and θ ← φ. The
    state of the base is kept. Between these updates, θ is evaluated and saved, and φ is part of the
    optimizer's state. The method is from Zhang et al. 2019 (arXiv:1907.08610).

    Args:
        base: any optimizer.
        k: steps of the base per update of the slow weights.
        alpha: step size α of the slow weights; positive and at most 1.

    Raises:
        ValueError: if ``k`` or ``alpha`` is out of range.
    """

    moves: ClassVar[bool] = True

    def __init__(self, base: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1 (got {k})")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must be positive and at most 1 (got {alpha})")
        super().__init__(base)
        self.k, self.alpha = k, alpha
        self.made = 0
        self.slow: list[Tensor] = []

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step the base, and update the slow weights every k steps."""
        if not self.slow:
            self.slow = [p.detach().clone() for p in self.weights()]
        loss = super().step(closure)
        self.made += 1
        if self.made % self.k == 0:
            self._synchronize()
        return loss

    @torch.no_grad()
    def _synchronize(self) -> None:
        for slow, fast in zip(self.slow, self.weights(), strict=True):
            slow.lerp_(fast, self.alpha)
            fast.copy_(slow)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the base, the slow weights and the number of steps."""
        return super().state_dict() | {"slow": list(self.slow), "made": self.made}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the base, the slow weights and the number of steps.

        Raises:
            ValueError: if the state comes from a different optimizer.
        """
        super().load_state_dict(state_dict)
        saved = zip(state_dict["slow"], self.weights(), strict=bool(state_dict["slow"]))
        self.slow = [s.to(p.device, p.dtype, copy=True) for s, p in saved]
        self.made = state_dict["made"]
