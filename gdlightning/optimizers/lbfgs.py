"""``torch.optim.LBFGS`` for schedules that end with a learning rate of 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class LBFGS(torch.optim.LBFGS):
    """Limited-memory BFGS; a step with learning rate 0 only evaluates the loss.

    The line search of torch divides by the length of the first step, which is the learning rate.
    """

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Perform a quasi-Newton step of up to ``max_iter`` iterations."""
        if self.param_groups[0]["lr"] == 0:
            with torch.enable_grad():
                return closure()
        base: Any = super()
        return base.step(closure)
