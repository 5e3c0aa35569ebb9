"""The loss of an optimizer step, for optimizers that use its value."""

from __future__ import annotations

import lightning.pytorch as L
import torch
from torch import Tensor

from gdlightning.engine.accumulation import AccumulationWindow


class StepLoss:
    """Sum of the losses of the accumulated batches of a step, averaged over the processes.

    Lightning's closure returns the loss of the last accumulated batch on one process, divided by
    the number of batches. With this value, a line search would evaluate a different function than
    the one that was differentiated, and the processes would make different steps.

    Args:
        window: weights of the batches.
    """

    def __init__(self, window: AccumulationWindow) -> None:
        self.window = window
        self.total: Tensor | None = None

    def add(self, loss: Tensor, trainer: L.Trainer) -> None:
        """Add the loss of a batch, weighted by its share of the step."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        own = loss.detach() / (scaler.get_scale() if scaler is not None else 1.0)
        self.total = own if self.total is None else self.total + own

    def take(self, trainer: L.Trainer) -> Tensor:
        """Return the loss of the step, shape [], and reset the sum."""
        total = torch.zeros(()) if self.total is None else self.total
        self.total = None
        total = total * self.window.factor
        whole = trainer.strategy.reduce(total.clone(), reduce_op="mean")
        return whole if isinstance(whole, Tensor) else torch.tensor(whole)
