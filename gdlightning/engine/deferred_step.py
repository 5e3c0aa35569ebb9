"""A step that the device itself leaves out where it is bad, so that nobody waits for its loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning import internals

ASYNCHRONOUS = frozenset({"cuda"})
"""Kinds of devices that compute behind the program, so that reading a number waits for them."""


def can_wait(optimizer: Optimizer, loss: Tensor, norm: Tensor | None) -> bool:
    """Whether an optimizer can leave a step out on the device, which is worth it there.

    torch's fused optimizers take a tensor that says so, made for gradient scalers; a compiled
    step can't be relied on to. Before their first step some have state that only a step sets.

    Args:
        optimizer: that would make the step.
        loss: of the step, shape [].
        norm: of its gradient, shape [].
    """
    return (
        loss.device.type in ASYNCHRONOUS
        and type(optimizer).__module__.startswith("torch.optim")
        and internals.skips_steps_on_device(optimizer)
        and bool(optimizer.state)
        and (norm is None or type(norm) is Tensor)
    )


@dataclass
class Judged:
    """Loss and gradient norm of a step, which may still be computed.

    Attributes:
        step: its number.
        loss: shape [].
        norm: of the whole gradient before clipping, shape []; None where it was not taken.
        batch: that it was made of.
        index: which examples that holds, where the loader knows.
    """

    step: int
    loss: Tensor
    norm: Tensor | None
    batch: Any
    index: Any
    _ready: Any = field(default=None, repr=False)

    def leave_out(self, optimizer: Optimizer) -> None:
        """Let the device skip the step if its numbers are not finite; begin to fetch them."""
        numbers = [self.loss, *([] if self.norm is None else [self.norm])]
        both = torch.stack([n.detach().float() for n in numbers])
        vars(optimizer)["found_inf"] = (~both.isfinite().all()).float()
        here = torch.empty(both.shape, pin_memory=both.is_cuda)
        here.copy_(both, non_blocking=True)
        if both.is_cuda:
            self._ready = torch.cuda.Event()
            self._ready.record()
        self.loss = here[0]
        self.norm = None if self.norm is None else here[1]

    @property
    def is_ready(self) -> bool:
        """Whether its numbers have come."""
        return self._ready is None or bool(self._ready.query())

    def wait(self) -> None:
        """Until they have."""
        if self._ready is not None:
            self._ready.synchronize()


def forget(optimizer: Optimizer) -> None:
    """Let an optimizer make the steps of who uses it next."""
    vars(optimizer).pop("found_inf", None)
