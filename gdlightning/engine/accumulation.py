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
    batches have the same size and the window is complete. Here each loss is weighted by its
    examples relative to a unit, and ``factor`` corrects the sum at the end of the window. The unit
    is the first batch, so that both are exactly 1 for complete windows of equal batches. With
    several processes it is one example, since the gradients are averaged over the processes before
    the window is complete, and all must use the same unit.

    If a module averages its loss over something other than examples, such as tokens, it should
    define a method ``loss_weight(batch)`` that returns the count. For a batch with integer
    ``labels`` of two or more dimensions, the labels that are not -100 are counted.

    Attributes:
        count: examples of the current batch.
        unit: examples that a weight of 1 stands for.
        total: examples of all batches of the window whose loss was differentiated.
        factor: correction of the sum of all gradients of the window; 1 until it is complete.
    """

    def __init__(self) -> None:
        self.count = self.total = 0.0
        self.unit = self.factor = 1.0
        self.batches = 1

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the examples of a batch."""
        self.batches = trainer.accumulate_grad_batches
        if self.batches > 1:
            self.count = loss_weight(pl_module, batch)
            if batch_idx % self.batches == 0:
                self.unit = self.count or 1.0 if trainer.world_size == 1 else 1.0
                self.total, self.factor = 0.0, 1.0
        else:
            self.factor = 1.0

    @property
    def share(self) -> float:
        """Weight of the current batch's loss."""
        return self.count / self.unit if self.batches > 1 else 1.0

    def add(self) -> None:
        """Count the current batch as differentiated."""
        if self.batches > 1:
            self.total += self.count

    def scale(self, optimizer: Optimizer, trainer: L.Trainer) -> None:
        """Set ``factor`` for a complete window, and multiply the gradients by it.

        With several processes, all must call this, because the total is averaged over them.
        """
        if self.batches == 1:
            return
        total = mean_over_ranks(trainer, self.total)
        self.factor = factor = self.batches * self.unit / total if total else 1.0
        if factor == 1.0:
            return
        for parameter in (p for g in optimizer.param_groups for p in g["params"]):
            if parameter.grad is not None and parameter.grad.requires_grad:  # has a graph
                parameter.grad = parameter.grad * factor
            elif parameter.grad is not None:
                parameter.grad.mul_(factor)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts of a window that is not complete."""
        return {"unit": self.unit, "total": self.total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the counts."""
        self.unit, self.total = state_dict["unit"], state_dict["total"]


def mean_over_ranks(trainer: L.Trainer, value: float) -> float:
    """Return the mean of a number over the processes of a run."""
    if trainer.world_size == 1:
        return value
    own = torch.tensor(value, dtype=torch.float64, device=trainer.strategy.root_device)
    return float(trainer.strategy.reduce(own, reduce_op="mean"))


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
