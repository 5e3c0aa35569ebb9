"""Base class of wrappers around the step of an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.discovery import hyphenated
from gdlightning.optimizers.chain import Chain


class Wrapper(Chain):
    """Base class: a chain of one optimizer, with its groups, state and modes.

    Subclasses override ``see``, which is called with the gradients before the base uses them, or
    ``step``, or both. They add their own state to the state_dict.

    Args:
        base: optimizer to wrap; may be a wrapper.

    Attributes:
        moves: whether the wrapper changes weights itself, which excludes bases with separate
            evaluation weights (schedule-free).
    """

    moves: ClassVar[bool] = False

    def __init__(self, base: Optimizer) -> None:
        self.base = base
        super().__init__([base], [hyphenated(type(self).__name__)])

    def weights(self) -> list[Tensor]:
        """Return all parameters in the order of the groups."""
        return [p for g in self.param_groups for p in g["params"]]

    def see(self) -> None:
        """Inspect or change the gradients after each evaluation."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step the base; it receives the closure, so SAM and LBFGS are supported."""
        if closure is None:
            self._see()
            return self.base.step()

        def evaluate() -> Any:
            loss = closure()
            self._see()
            return loss

        return self.base.step(evaluate)

    @torch.no_grad()
    def _see(self) -> None:
        self.see()


def parts_of(optimizer: Optimizer) -> list[Optimizer]:
    """Return the optimizers of a chain or nested chain; a wrapper counts as one optimizer."""
    if isinstance(optimizer, Chain) and not isinstance(optimizer, Wrapper):
        return [own for part in optimizer.parts for own in parts_of(part)]
    return [optimizer]
