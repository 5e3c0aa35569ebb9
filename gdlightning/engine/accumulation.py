"""Gradients of accumulated batches, equal to the gradient of one large batch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.tasks.task import examples

IGNORED = -100
"""Target that torch's losses ignore by default."""


class AccumulationWindow(L.Callback):
    """Weights of the batches of one optimizer step.

    Lightning divides each loss by the configured number of batches, which is only correct if all
    batches have the same size and the window is complete. Here each loss is weighted by its share
    of the examples, relative to the first batch, and ``factor`` corrects the sum at the end of the
    window. Both are exactly 1 for complete windows of equal batches.

    If a module averages its loss over something other than examples, such as tokens, it should
    define a method ``loss_weight(batch)`` that returns the count. For a batch with integer
    ``labels`` of two or more dimensions, the labels that are not -100 are counted.

    Attributes:
        count: examples of the current batch.
        first: examples of the first batch of the window.
        total: examples of all batches of the window whose loss was differentiated.
    """

    def __init__(self) -> None:
        self.count = self.first = self.total = 0.0
        self.batches = 1

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the examples of a batch."""
        self.batches = trainer.accumulate_grad_batches
        if self.batches > 1:
            self.count = loss_weight(pl_module, batch)
            if batch_idx % self.batches == 0:
                self.first, self.total = self.count or 1.0, 0.0

    @property
    def share(self) -> float:
        """Weight of the current batch's loss."""
        return self.count / self.first if self.batches > 1 else 1.0

    def add(self) -> None:
        """Count the current batch as differentiated."""
        if self.batches > 1:
            self.total += self.count

    @property
    def factor(self) -> float:
        """Correction of the sum of all gradients of the window."""
        if self.batches == 1 or not self.total:
            return 1.0
        return self.batches * self.first / self.total

    def scale(self, optimizer: Optimizer) -> None:
        """Multiply the gradients of a complete window by ``factor``."""
        factor = self.factor
        if factor == 1.0:
            return
        for parameter in (p for g in optimizer.param_groups for p in g["params"]):
            if parameter.grad is not None and parameter.grad.requires_grad:  # has a graph
                parameter.grad = parameter.grad * factor
            elif parameter.grad is not None:
                parameter.grad.mul_(factor)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts of a window that is not complete."""
        return {"first": self.first, "total": self.total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the counts."""
        self.first, self.total = state_dict["first"], state_dict["total"]


def loss_weight(module: L.LightningModule, batch: Any) -> float:
    """Return the number of terms that the loss of a batch is averaged over."""
    own = getattr(module, "loss_weight", None)
    if inspect.ismethod(own):  # third-party modules have layers and numbers of this name
        return float(own(batch))
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    if isinstance(labels, Tensor) and labels.ndim > 1 and not labels.is_floating_point():
        scored = labels[..., 1:] if _predicts_next(module) else labels
        return float(torch.count_nonzero(scored != IGNORED))
    return float(examples(batch))


def _predicts_next(module: L.LightningModule) -> bool:
    """Return whether a Hugging Face model shifts the labels by one position."""
    names = (type(m).__name__ for m in module.modules())
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in names)
