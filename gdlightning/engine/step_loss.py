"""The loss of a whole optimizer step, for optimizers that look at it."""

from __future__ import annotations

import lightning.pytorch as L
import torch
from torch import Tensor

from gdlightning.engine.accumulation import AccumulationWindow


class StepLoss:
    """Sums the losses of a step's accumulated batches and takes their mean over the processes.

    Lightning's closure returns the loss of the last of several accumulated batches on one process,
    divided by their number. A line search by that number would look at another function than the
    one whose gradient it has, and processes would take different steps.
    """

    def __init__(self, window: AccumulationWindow) -> None:
        self.window = window
        self.total: Tensor | None = None

    def add(self, loss: Tensor, trainer: L.Trainer) -> None:
        """Count what is differentiated: the loss of a batch by its share of the step."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        own = loss.detach() / (scaler.get_scale() if scaler is not None else 1.0)
        self.total = own if self.total is None else self.total + own

    def take(self, trainer: L.Trainer) -> Tensor:
        """The loss of the step so far, and begin again."""
        total = torch.zeros(()) if self.total is None else self.total
        self.total = None
        total = total * self.window.factor
        whole = trainer.strategy.reduce(total.clone(), reduce_op="mean")
        return whole if isinstance(whole, Tensor) else torch.tensor(whole)
