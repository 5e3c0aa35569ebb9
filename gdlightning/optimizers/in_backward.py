"""Steps within the backward pass: no more than a gradient or two is ever held."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gdlightning.optimizers.chain import Chain


class InBackward(Chain):
    """Steps each parameter as soon as its gradient is whole, and frees the gradient at once.

    A chain of one optimizer a parameter. The hooks are on the parameters only while ``step``
    evaluates its closure: whoever calls ``backward`` elsewhere gets gradients as ever. What an
    optimizer measures over all parameters (a global norm, its own learning rate) it can't have.
    Lv et al. 2023 (arXiv:2306.09782) use it for SGD.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure, whose backward pass makes the steps.

        Raises:
            RuntimeError: no closure is given.
        """
        if closure is None:
            raise RuntimeError("Steps in the backward pass need a closure that runs it.")
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
