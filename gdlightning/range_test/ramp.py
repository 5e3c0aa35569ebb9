"""A callback that increases the learning rate per step and tracks the loss on fixed batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
import torch
from tqdm import tqdm

from gdlightning.range_test.suggestion import Curve
from gdlightning.tasks.objective import loss_of
from gdlightning.tasks.rng import random_state, restored
from gdlightning.tasks.task import examples

BATCHES, EXAMPLES = 4, 256
"""Number of tracked batches; fewer once they contain this many examples."""
DIVERGENCE, MIN_DECREASE = 2.0, 0.1
"""The test stops once the loss exceeds the initial loss by DIVERGENCE times its total decrease,
which is taken to be at least MIN_DECREASE times the initial loss."""


class Ramp(L.Callback):
    """Increases the learning rate by a constant factor per step and tracks the loss.

    The tracked batches are the first ones, at which the learning rate is too small to learn from
    them. Their loss is evaluated after each step with the same random state, including dropout, so
    it only depends on the weights.

    Args:
        lrs: learning rate of each optimizer step.
        scales: multiplier of each parameter group's learning rate; None for groups with a fixed
            one.
        bar: progress bar; updated after each step.
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
        """Return the measured curve."""
        return Curve(
            tuple(lr for lr, _ in self.points), tuple(loss for _, loss in self.points), self.start
        )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Store the random state of all evaluations."""
        self.random = random_state()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the learning rate of the step, and store the batch if it is tracked."""
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
        """Evaluate the loss after a step, and stop training if it diverges."""
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
        decrease = max(self.start - self.best, MIN_DECREASE * abs(self.start))
        if not loss <= self.start + DIVERGENCE * decrease:
            trainer.should_stop = True

    def _loss(self, trainer: L.Trainer, module: L.LightningModule) -> float:
        total = torch.zeros((), device=module.device)
        with restored(self.random), torch.no_grad(), trainer.precision_plugin.train_step_context():
            for batch, batch_idx in self.batches:
                total += loss_of(module, batch, batch_idx).float()
        return float(total) / len(self.batches)
