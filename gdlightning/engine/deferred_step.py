"""Steps that the device skips if they are not finite, so that the host does not wait for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning import internals

ASYNCHRONOUS = frozenset({"cuda"})
"""Device types that compute asynchronously, so that reading a value waits for them."""


def can_defer(optimizer: Optimizer, loss: Tensor, norm: Tensor | None) -> bool:
    """Return whether the optimizer can skip a step on the device.

    torch's fused optimizers skip a step if a flag tensor, intended for gradient scalers, is set. A
    compiled step may ignore the flag. The first step is never skipped on the device, since it
    creates the state of some optimizers.

    Args:
        optimizer: optimizer of the step.
        loss: loss of the step, shape [].
        norm: global gradient norm, shape [].
    """
    return (
        loss.device.type in ASYNCHRONOUS
        and type(optimizer).__module__.startswith("torch.optim")
        and internals.skips_steps_on_device(optimizer)
        and bool(optimizer.state)
        and (norm is None or type(norm) is Tensor)
    )


@dataclass
class StepValues:
    """Loss and gradient norm of a step, which the device may still be computing.

    Attributes:
        step: number of the step, from 0.
        loss: loss, shape [].
        norm: global gradient norm before clipping, shape []; None if it was not computed.
        batch: batch of the step.
        index: indices of its examples, int64 [B]; None if the loader does not store them.
    """

    step: int
    loss: Tensor
    norm: Tensor | None
    batch: Any
    index: Any
    _ready: Any = field(default=None, repr=False)

    def skip_on_device(self, optimizer: Optimizer) -> None:
        """Skip the step on the device if a value is not finite, and start to copy the values."""
        values = [self.loss, *([] if self.norm is None else [self.norm])]
        stacked = torch.stack([v.detach().float() for v in values])
        vars(optimizer)["found_inf"] = (~stacked.isfinite().all()).float()
        copied = torch.empty(stacked.shape, pin_memory=stacked.is_cuda)
        copied.copy_(stacked, non_blocking=True)
        if stacked.is_cuda:
            self._ready = torch.cuda.Event()
            self._ready.record()
        self.loss = copied[0]
        self.norm = None if self.norm is None else copied[1]

    @property
    def is_ready(self) -> bool:
        """Whether the values have been copied to the host."""
        return self._ready is None or bool(self._ready.query())

    def wait(self) -> None:
        """Wait until the values have been copied."""
        if self._ready is not None:
            self._ready.synchronize()


def clear_skip_flag(optimizer: Optimizer) -> None:
    """Remove the flag that makes an optimizer skip steps, for its next user."""
    vars(optimizer).pop("found_inf", None)
