"""Torch's L-BFGS, made to go with schedules that end at a learning rate of 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class LBFGS(torch.optim.LBFGS):
    """Limited-memory BFGS; a step of length 0 evaluates the loss and moves nothing.

    Torch's line search divides by the first step's length, which is the learning rate.
    """

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """One quasi-Newton step of up to ``max_iter`` iterations."""
        if self.param_groups[0]["lr"] == 0:
            with torch.enable_grad():
                return closure()
        torchs: Any = super()
        return torchs.step(closure)
