"""Optimizer steps within the backward pass, to save the memory of gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gdlightning.optimizers.chain import Chain


class InBackward(Chain):
    """Chain that steps each parameter as soon as its gradient is complete, and frees the gradient.

    The chain has one optimizer per parameter. Hooks are only active while ``step`` evaluates its
    closure; other calls of ``backward`` accumulate gradients as usual. Optimizers that need all
    gradients at once, for a global norm or an estimate of the learning rate, are not supported. The
    method follows LOMO (Lv et al. 2023, arXiv:2306.09782), which uses it with SGD.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure; its backward pass performs the steps.

        Raises:
            RuntimeError: if no closure is given.
        """
        if closure is None:
            raise RuntimeError("InBackward needs a closure that runs the backward pass.")
        with self._hooks():
            return closure()

    @contextlib.contextmanager
    def _hooks(self) -> Iterator[None]:
        handles = [
            parameter.register_post_accumulate_grad_hook(_stepping(part))
            for part in self.parts
            for group in part.param_groups
            for parameter in group["params"]
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _stepping(part: Optimizer) -> Callable[[Tensor], None]:
    def step(parameter: Tensor) -> None:
        part.step()
        parameter.grad = None

    return step
