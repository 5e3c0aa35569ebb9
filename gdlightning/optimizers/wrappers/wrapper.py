"""What is done around the step of an optimizer, as a torch Optimizer of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.discovery import hyphenated
from gdlightning.optimizers.chain import Chain


class Wrapper(Chain):
    """A chain of one: groups, state and modes are the base's own, its state_dict is held within.

    A subclass overrides ``see``, which is called on the gradients before the base uses them, or
    ``step``, or both; what it remembers itself it adds to the state_dict.

    Args:
        base: the optimizer whose step is wrapped; it may be a wrapper too.

    Attributes:
        moves: it changes weights itself, so that an optimizer which keeps them in two places
            (schedule-free) can't be its base.
    """

    moves: ClassVar[bool] = False

    def __init__(self, base: Optimizer) -> None:
        self.base = base
        super().__init__([base], [hyphenated(type(self).__name__)])

    def weights(self) -> list[Tensor]:
        """All parameters, in the order of the groups."""
        return [p for g in self.param_groups for p in g["params"]]

    def see(self) -> None:
        """Look at the gradients, or change them, each time that they have been computed."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """The base's step; a closure is passed on, so that SAM or LBFGS may be the base."""
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
    """The optimizers that a chain, or a chain of chains, steps; a wrapper is one of its own."""
    if isinstance(optimizer, Chain) and not isinstance(optimizer, Wrapper):
        return [own for part in optimizer.parts for own in parts_of(part)]
    return [optimizer]
