"""What TensorBoard and the CSV file show of a training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from gdlightning import internals
from gdlightning.callbacks.observer import Observer
from gdlightning.callbacks.tensorboard_media import few, histograms, model_graph, show_samples
from gdlightning.engine.eval_weights import fitting
from gdlightning.engine.optimization import Optimization
from gdlightning.engine.step_counts import trainer_steps
from gdlightning.monitor.step_delta import Movement
from gdlightning.optimizers.group_table import table
from gdlightning.tasks.task import examples


class Watch(Observer):
    """Logs, every ``trainer.log_every_n_steps`` optimizer steps, what the optimizer does.

    ``lr/GROUP`` is the learning rate of the step that was just made; ``grad_norm`` the global norm
    before clipping, ``clipped`` the share of steps on which clipping bit since the last line;
    ``update_ratio`` the norm of the step over the norm of the weights; ``steps_per_second`` and
    ``examples_per_second`` since the last line; ``effective_batch_size`` the examples a step over
    all devices and accumulated batches.

    Args:
        samples: show sample predictions of the first validation batch after each validation.
        graph: show the model's structure.
        histograms: show a histogram of each parameter and its gradient after each epoch.

    Attributes:
        optimization: how the model is optimized, for what only it knows.
        each_epoch: log at least once an epoch, where an epoch has fewer steps than the interval.
    """

    def __init__(self, samples: bool = True, graph: bool = True, histograms: bool = False) -> None:
        self.samples, self.graph, self.histograms = samples, graph, histograms
        self.optimization: Optimization | None = None
        self.each_epoch = False
        self._before: Movement | None = None
        self._clock = (0.0, 0)
        self._clipped: list[Tensor] = []
        self._examples = 0
        self._last_step = -1
        self._steps_before = 0
        self._traced: Any = None
        self._shown = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the table of parameter groups and the model's structure."""
        if self.each_epoch:
            lightning: Any = trainer  # which does not declare the interval
            counts = trainer_steps(trainer)
            known = [n for n in (counts.per_epoch, counts.total) if n]
            lightning.log_every_n_steps = min(lightning.log_every_n_steps, *known)
        self._clock = (time.perf_counter(), trainer.global_step - self._steps_before)
        self._last_step, self._steps_before = trainer.global_step, 0
        if trainer.global_step:  # resumed: these stand in the logs already
            return
        parts = self.optimization.parts if self.optimization is not None else []
        if parts and trainer.is_global_zero:
            print(table(parts), end="\n\n")
        for board in boards(trainer):
            if parts:
                board.experiment.add_text("parameter groups", table(parts, markdown=True), 0)
            board.experiment.add_text("model", f"```\n{pl_module}\n```", 0)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Keep the weights of the steps that are logged, to measure the update."""
        if not self._steps_in_backward():
            self._keep(trainer, optimizer)

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """The same, where the backward pass makes the step."""
        if self._steps_in_backward():
            self._keep(trainer, trainer.optimizers[0])

    def _steps_in_backward(self) -> bool:
        return self.optimization is not None and self.optimization.choice.in_backward

    def _keep(self, trainer: L.Trainer, optimizer: Optimizer) -> None:
        self._before = None
        if self._due(trainer, trainer.global_step + 1):
            self._before = Movement(_weights(optimizer), gradients=False)
            self._lrs = _learning_rates(optimizer)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log, if a step was made and it is time."""
        self._examples += examples(batch)
        step = trainer.global_step
        if self._traced is None and self.graph:
            self._traced = few(batch)
        if step == self._last_step:
            return
        made, self._last_step = step - self._last_step, step
        clip = self.optimization.clip if self.optimization is not None else None
        if clip is not None and clip.norm is not None:
            self._clipped.append(clip.clipped)
        if not self._due(trainer, step) or trainer.logger is None:
            return
        now, (then, first) = time.perf_counter(), self._clock
        values: dict[str, Any] = dict(self._lrs) if self._before is not None else {}
        if clip is not None and clip.norm is not None:
            values["grad_norm"] = clip.norm
            values["clipped"] = torch.stack([c.float() for c in self._clipped]).mean()
        if self._before is not None:
            values["update_ratio"] = self._before.ratio()
        steps = max(1, step - first)
        per_step = self._examples / steps * trainer.world_size
        values["steps_per_second"] = steps / max(now - then, 1e-9)
        values["examples_per_second"] = per_step * values["steps_per_second"]
        values["effective_batch_size"] = per_step if made else 0
        for logger in trainer.loggers:
            log(logger, {k: float(v) for k, v in values.items()}, step - 1)
        self._clock, self._examples, self._clipped = (now, step), 0, []

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show sample predictions of the first batch."""
        if self.samples and batch_idx == 0 and fitting(trainer):
            for board in boards(trainer):
                show_samples(board, pl_module, batch, max(0, trainer.global_step - 1))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the structure, which takes longer than a first step should have to wait."""
        if fitting(trainer):
            self._show_graph(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same where there was no validation."""
        self._show_graph(trainer, pl_module)

    def _show_graph(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.graph and not self._shown and self._traced is not None:
            self._shown = True
            for board in boards(trainer):
                model_graph(board, pl_module, self._traced)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show histograms, if asked for."""
        if self.histograms:
            for board in boards(trainer):
                histograms(board, pl_module, max(0, trainer.global_step - 1))

    def state_dict(self) -> dict[str, Any]:
        """What was gathered since the last line of the log."""
        return {
            "clipped": [float(c) for c in self._clipped],
            "examples": self._examples,
            "steps": self._last_step - self._clock[1],
            "graph": self._shown,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with it; ``on_train_start`` starts the clock."""
        self._clipped = [torch.tensor(c) for c in state_dict["clipped"]]
        self._examples, self._steps_before = state_dict["examples"], state_dict["steps"]
        self._shown = state_dict.get("graph", True)

    @staticmethod
    def _due(trainer: L.Trainer, step: int) -> bool:
        every = getattr(trainer, "log_every_n_steps", 50) or 50
        return step == 1 or step % every == 0


def log(logger: Logger, values: dict[str, float], step: int) -> None:
    """Log numbers of a step; TensorBoard gets all of them at once, which takes a fifth."""
    if not isinstance(logger, TensorBoardLogger):
        logger.log_metrics(values, step=step)
    elif getattr(rank_zero_only, "rank", 0) == 0:
        from tensorboard.compat.proto.summary_pb2 import Summary

        rows = [Summary.Value(tag=k, simple_value=v) for k, v in values.items()]
        writer = internals.file_writer(logger.experiment)
        writer.add_summary(Summary(value=rows), step)


def boards(trainer: L.Trainer) -> Iterator[TensorBoardLogger]:
    """The TensorBoard loggers of a trainer."""
    return (lg for lg in trainer.loggers if isinstance(lg, TensorBoardLogger))


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [p for g in optimizer.param_groups for p in g["params"]]


def _learning_rates(optimizer: Optimizer) -> dict[str, float]:
    groups = [g for g in optimizer.param_groups if "lr" in g]
    if len(groups) == 1:
        return {"lr": float(groups[0]["lr"])}
    return {f"lr/{g.get('name', k)}": float(g["lr"]) for k, g in enumerate(groups)}
