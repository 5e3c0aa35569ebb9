"""The learning rate grows from step to step, and the loss of the same few batches is followed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
import torch
from tqdm import tqdm

from gdlightning.range_test.reading import Curve
from gdlightning.tasks.objective import loss_of
from gdlightning.tasks.random import random_state, restored
from gdlightning.tasks.task import examples

BATCHES, EXAMPLES = 4, 256
"""Batches that are followed; fewer where they hold so many examples."""
WORSE, LEAST = 2.0, 0.1
"""The test ends where the loss has risen above the first one by so many times its whole fall, which
counts as this part of the first loss at least."""


class Ramp(L.Callback):
    """Lets the learning rate grow by the same factor each step, and follows the loss.

    The followed batches are the first ones: they are seen at learning rates too small to learn from
    them. Their loss is evaluated after each step with the same random state, dropout included, so
    that nothing but the weights makes it change.

    Args:
        lrs: of each optimizer step.
        scales: of each parameter group's learning rate; None for one that keeps its own.
        bar: is moved on each step.
    """

    def __init__(
        self, lrs: Sequence[float], scales: Sequence[float | None], bar: tqdm[Any]
    ) -> None:
        self.lrs, self.scales, self.bar = lrs, scales, bar
        self.batches: list[tuple[Any, int]] = []
        self.complete = False
        self.random: list[torch.Tensor] = []
        self.start, self.best = math.nan, math.inf
        self.points: list[tuple[float, float]] = []
        self.step = 0

    def curve(self) -> Curve:
        """What was measured."""
        return Curve(
            tuple(lr for lr, _ in self.points), tuple(loss for _, loss in self.points), self.start
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The random state of all evaluations."""
        self.random = random_state()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the learning rate of the step; keep the batch, if it is one of the first."""
        lr = self.lrs[min(trainer.global_step, len(self.lrs) - 1)]
        groups = trainer.optimizers[0].param_groups
        for group, scale in zip(groups, self.scales, strict=True):
            if scale is not None:
                group["lr"] = lr * scale
        if not self.complete:
            self.batches.append((batch, batch_idx))
            seen = sum(examples(b) for b, _ in self.batches)
            most = min(BATCHES, trainer.num_training_batches)
            self.complete = seen >= EXAMPLES or len(self.batches) >= most

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, idx: int
    ) -> None:
        """The loss after a step; the end, where it is out of hand."""
        if trainer.global_step == self.step:
            return
        self.step = trainer.global_step
        self.bar.update()
        if not self.complete:
            return
        loss = self._loss(trainer, pl_module)
        if math.isnan(self.start):
            self.start = loss
        self.points.append((self.lrs[self.step - 1], loss))
        self.best = min(self.best, loss)
        fall = max(self.start - self.best, LEAST * abs(self.start))
        if not loss <= self.start + WORSE * fall:
            trainer.should_stop = True

    def _loss(self, trainer: L.Trainer, module: L.LightningModule) -> float:
        total = torch.zeros((), device=module.device)
        with restored(self.random), torch.no_grad(), trainer.precision_plugin.train_step_context():
            for batch, batch_idx in self.batches:
                total += loss_of(module, batch, batch_idx).float()
        return float(total) / len(self.batches)
