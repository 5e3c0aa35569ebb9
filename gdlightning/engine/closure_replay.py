"""Repeatable closures, for optimizers that evaluate the loss several times per step."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.engine.accumulation import loss_weight
from gdlightning.engine.step_loss import StepLoss
from gdlightning.tasks.objective import loss_in, traceless
from gdlightning.tasks.rng import random_state, restored


class Replay(L.Callback):
    """Stores the batches of an optimizer step and evaluates their loss again.

    SAM and LBFGS evaluate the closure several times per step. If Lightning's closure were called
    again, it would see only the last of several accumulated batches, count it twice in metrics,
    logs and batch-norm statistics, and draw other dropout masks. Here, the first evaluation is
    Lightning's. Every further one repeats all batches of the step with the same random state, and
    changes only the gradients, which are clipped like the first ones.

    Args:
        module: module that is trained.
        clip: function that clips the gradients of an optimizer's parameters.
        loss: sum of the losses that ``backward`` has received in this step.
    """

    def __init__(
        self,
        module: L.LightningModule,
        clip: Callable[[Optimizer], None],
        loss: StepLoss,
    ) -> None:
        self.module, self.clip, self.loss = module, clip, loss
        self.window: list[tuple[Any, int, float]] = []
        self.random: list[Tensor] = random_state()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Store the batch, and the random state before the first batch of a step."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.window, self.random = [], random_state()
        self.window.append((batch, batch_idx, loss_weight(pl_module, batch)))

    def take_over(self, optimizer: Optimizer) -> None:
        """Make the optimizer's ``step`` repeat the stored batches after the first evaluation.

        Lightning's closure, which includes hooks and clipping, only runs for the first.
        """
        inner = optimizer.step

        def step(own: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
            return inner(self.closure(closure, own) if closure is not None else None)

        optimizer.step = types.MethodType(step, optimizer)  # type: ignore[method-assign]

    def closure(self, first: Callable[[], Any], optimizer: Optimizer) -> Callable[[], Any]:
        """Return a closure that calls ``first`` once and then repeats the stored batches."""
        calls = 0

        def evaluate() -> Any:
            nonlocal calls
            calls += 1
            return first() if calls == 1 else self._repeat(optimizer)

        return evaluate

    def _repeat(self, optimizer: Optimizer) -> Tensor:
        trainer, module = self.module.trainer, self.module
        with restored(self.random), torch.enable_grad(), traceless(module):
            optimizer.zero_grad()
            for batch, batch_idx, weight in self.window:
                self.loss.window.count = weight
                with trainer.precision_plugin.train_step_context():
                    output = trainer.strategy.training_step(batch, batch_idx)
                if output is None:  # the module skips this batch
                    continue
                loss = loss_in(output) / trainer.accumulate_grad_batches
                trainer.strategy.backward(loss, None)
        self.loss.window.scale(optimizer, trainer)
        self.clip(optimizer)
        return self.loss.take(trainer)
