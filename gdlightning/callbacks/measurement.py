"""A measured optimizer step, whose batches are evaluated again."""

from __future__ import annotations

import contextlib
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from gdlightning import internals
from gdlightning.engine.accumulation import loss_weight, mean_over_ranks
from gdlightning.engine.optimization import Optimization
from gdlightning.monitor.activity import Activity
from gdlightning.monitor.step_delta import Movement
from gdlightning.tasks.objective import SkippedBatch, loss_of
from gdlightning.tasks.rng import restored
from gdlightning.tasks.task import examples


class Measurement:
    """Batches of an optimizer step, to evaluate their loss again.

    Args:
        random: random state before the first batch.
    """

    def __init__(self, random: list[Tensor]) -> None:
        self.random = random
        self.window: list[tuple[Any, int]] = []
        self.movement: Movement | None = None

    def add(self, trainer: L.Trainer, batch: Any, batch_idx: int) -> None:
        """Add a batch of the step."""
        self.window.append((batch, batch_idx))

    @property
    def examples(self) -> int:
        """Number of examples in all batches."""
        return sum(examples(batch) for batch, _ in self.window)

    def evaluate(self, trainer: L.Trainer, module: L.LightningModule) -> tuple[Tensor, Activity]:
        """Return the current loss of the batches, with the same dropout masks, and the activity."""
        activity = Activity(module)
        losses: list[tuple[float, Tensor]] = []
        context = trainer.precision_plugin.train_step_context
        compiled = internals.is_compiled(module)
        # Without gradients, a compiled net would be compiled a second time.
        with restored(self.random), torch.set_grad_enabled(compiled):
            for number, (batch, batch_idx) in enumerate(self.window):
                with context(), contextlib.suppress(SkippedBatch):
                    if number or compiled:
                        loss = loss_of(module, batch, batch_idx)
                    else:
                        with activity:
                            loss = loss_of(module, batch, batch_idx)
                    losses.append((loss_weight(module, batch), loss.detach().float()))
        total = sum(weight for weight, _ in losses)
        if len(self.window) > 1:  # accumulated, so that the step weights all ranks' examples alike
            total = mean_over_ranks(trainer, total)
        total = total or 1.0  # no label is scored
        zero = torch.zeros((), device=module.device)
        return sum((w / total * loss for w, loss in losses), zero), activity


def can_measure(
    trainer: L.Trainer, module: L.LightningModule, optimization: Optimization | None
) -> bool:
    """Return whether the steps of a run can be measured.

    They can with a single optimizer whose step follows the backward pass, without a gradient
    scaler, and with the whole model on each device.
    """
    return (
        module.automatic_optimization
        and len(trainer.optimizers) == 1
        and isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        and getattr(trainer.precision_plugin, "scaler", None) is None
        and not (optimization is not None and optimization.choice.in_backward)
    )
