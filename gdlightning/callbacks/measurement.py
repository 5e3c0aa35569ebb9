"""One step of a training, measured: its batches, evaluated once more."""

from __future__ import annotations

import contextlib
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from gdlightning import internals
from gdlightning.engine.accumulation import loss_weight
from gdlightning.engine.optimization import Optimization
from gdlightning.monitor.activity import Activity
from gdlightning.monitor.step_delta import Movement
from gdlightning.tasks.objective import SkippedBatch, loss_of
from gdlightning.tasks.rng import restored
from gdlightning.tasks.task import examples


class Measurement:
    """The batches of one step, to evaluate their loss again.

    Args:
        random: the state before the first of them.
    """

    def __init__(self, random: list[Tensor]) -> None:
        self.random = random
        self.window: list[tuple[Any, int]] = []
        self.movement: Movement | None = None

    def add(self, trainer: L.Trainer, batch: Any, batch_idx: int) -> None:
        """One more batch of the step."""
        self.window.append((batch, batch_idx))

    @property
    def examples(self) -> int:
        """Of all batches."""
        return sum(examples(batch) for batch, _ in self.window)

    def again(self, trainer: L.Trainer, module: L.LightningModule) -> tuple[Tensor, Activity]:
        """The loss of the same batches now, with the same dropout; what the units did."""
        activity = Activity(module)
        losses: list[tuple[float, Tensor]] = []
        context = trainer.precision_plugin.train_step_context
        compiled = internals.is_compiled(module)
        # A compiled net would be compiled once more for a pass without gradients.
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
        zero = torch.zeros((), device=module.device)
        return sum((w / total * loss for w, loss in losses), zero), activity


def measurable(
    trainer: L.Trainer, module: L.LightningModule, optimization: Optimization | None
) -> bool:
    """Whether steps are of one optimizer, whole on each device, and not within backward."""
    return (
        module.automatic_optimization
        and len(trainer.optimizers) == 1
        and isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        and getattr(trainer.precision_plugin, "scaler", None) is None
        and not (optimization is not None and optimization.choice.in_backward)
    )
