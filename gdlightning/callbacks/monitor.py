"""The monitor, which measures optimizer steps during a run for the diagnosis."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from operator import is_not
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.callbacks.measurement import Measurement, can_measure
from gdlightning.callbacks.monitor_header import header, matrices
from gdlightning.callbacks.observer import Observer
from gdlightning.callbacks.step_logger import log
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.engine.accumulation import AccumulationWindow
from gdlightning.engine.eval_weights import fitting
from gdlightning.engine.optimization import Optimization
from gdlightning.engine.train_loaders import batch_indices
from gdlightning.errors import UserError
from gdlightning.monitor.step_delta import Moved, Movement
from gdlightning.storage.atomic_write import plain_numbers
from gdlightning.storage.journal import JOURNAL, append
from gdlightning.tasks.rng import random_state

MIN_GAP_STEPS, MAX_GAP_STEPS, GAP_DIVISOR = 10, 500, 6
"""The gap between two measurements is a sixth of the steps so far, within these bounds."""
SPIKE_DEVIATIONS = 4.0
"""Distance of a spike from the median loss, in typical deviations."""
MIN_SPIKE_LOSSES = 30
"""Number of losses before a spike can be detected."""


class Monitor(Observer):
    """Measures optimizer steps and writes the measurements to ``instruments.jsonl``.

    A measurement contains the gain ratio, which takes an additional forward pass; the norms of
    gradient, weights and update per layer; the angle between the gradient and that of the next
    step, from which the gradient noise is estimated; the scale of the activations; and the share of
    dead units. It also contains the losses since the previous measurement, and the examples that
    caused spikes. The weights of the run are bit-identical to those without the monitor.

    Args:
        every: optimizer steps between two measurements; 0 disables the monitor. The default
            starts with 10 steps and increases the interval up to 500 during the run.
        curvature: optimizer steps between two measurements of the Hessian's extreme eigenvalues,
            each of which takes the time of about 50 gradients; 0 disables them.

    Attributes:
        folder: run folder.
        record: measurements so far.
        on: whether the run can be measured.
        optimization: optimization of the model.

    Raises:
        UserError: if a value is negative, or ``curvature`` is set and ``every`` is 0.
    """

    def __init__(self, every: int | None = None, curvature: int = 0) -> None:
        for key, value in (("every", every), ("curvature", curvature)):
            if value is not None and value < 0:
                raise UserError(
                    f"monitor.{key} must be at least 0", key=f"monitor.{key}", value=value
                )
        if every == 0 and curvature:
            raise UserError(
                "monitor.every is 0, which also disables monitor.curvature.",
                key=("monitor.every", "monitor.curvature"),
                hint="Remove one of them.",
            )
        self.every, self.curvature = every, curvature
        self.folder: Path | None = None
        self.record = RunRecord()
        self.optimization: Optimization | None = None
        self._next, self._last = 0, -1
        self.on, self._pending_losses, self._header_due = False, 0, False
        self._step_loss: Tensor | None = None
        self._losses: list[Tensor] = []
        self._seen: list[tuple[int, Any]] = []
        self._typical: deque[float] = deque(maxlen=100)
        self._clipped: list[Tensor] = []
        self._measured: Measurement | None = None
        self._previous: tuple[int, Movement] | None = None
        self._matrix_indices: tuple[list[Tensor], list[int]] = [], []

    # Lightning's hooks, in the order of a step

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check whether the run can be measured."""
        self.on = self.every != 0 and can_measure(trainer, pl_module, self.optimization)
        self._step_loss, self._pending_losses, self._last = None, 0, trainer.global_step
        self._header_due = self.on and trainer.global_step == 0 and trainer.is_global_zero

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Store the batches of a step to measure, and the random state before it."""
        if not self.on:
            return
        if self._header_due:  # not earlier: a run that is resumed at step 0 still has its old file
            self._header_due = False
            start = header(trainer, pl_module, self.optimization)
            self.write_row(trainer, {"step": 0, "start": start})
        self._pending_losses += 1
        if trainer.global_step >= self._next and self._measured is None:
            self._measured = Measurement(random_state())
        if self._measured is not None:
            self._measured.add(trainer, batch, batch_idx)

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Add the loss of the batch to that of the step."""
        if self.on and self._pending_losses:  # an optimizer may evaluate the loss several times
            self._pending_losses -= 1
            own, weight = loss.detach(), self._window().share
            own = own if weight == 1.0 else own * weight
            self._step_loss = own if self._step_loss is None else self._step_loss + own

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Store weights and gradients of a step to measure; compare the gradients after it."""
        if not self.on:
            return
        if self._step_loss is None:  # the module skipped all batches of this step
            return
        if self._previous is not None:
            step, movement = self._previous
            dot, first, second = (float(v) for v in movement.alike(_weights(optimizer)))
            self._previous = None
            self.write_row(trainer, {"step": step, "alike": [dot, first, second]})
        if self._measured is not None and self._measured.movement is None:
            self._measured.movement = Movement(_weights(optimizer))

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Measure the step, if it is complete and a measurement is due."""
        step = trainer.global_step
        if not self.on or step == self._last:
            return
        self._last = step
        before, self._step_loss = self._step_loss, None
        if before is not None and (factor := self._window().factor) != 1.0:
            before = before * factor
        if before is not None:
            self._losses.append(before)
            self._seen.append((step - 1, batch_indices(trainer)))
        clip = self.optimization.clip if self.optimization is not None else None
        if clip is not None and clip.norm is not None:
            self._clipped.append(clip.clipped)
        if self._measured is None:
            return
        measured, self._measured = self._measured, None
        self._next = step + self._gap(step)
        if measured.movement is not None:
            self._measure(trainer, pl_module, measured, 0.0 if before is None else float(before))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the validation metrics."""
        if fitting(trainer) and self.on:
            found = {k: float(v) for k, v in trainer.callback_metrics.items() if "val" in k}
            self.write_row(trainer, {"step": max(0, trainer.global_step - 1), "val": found})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the losses since the last measurement."""
        if self.on and self._losses:
            self.write_row(trainer, {"step": trainer.global_step - 1} | self._interval())

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Write the losses that precede the exception."""
        if isinstance(exception, Exception):
            self.on_train_end(trainer, pl_module)

    def _window(self) -> AccumulationWindow:
        return self.optimization.window if self.optimization is not None else AccumulationWindow()

    # The measurement

    def _gap(self, step: int) -> int:
        return self.every or min(MAX_GAP_STEPS, max(MIN_GAP_STEPS, step // GAP_DIVISOR))

    def _measure(
        self, trainer: L.Trainer, module: L.LightningModule, measured: Measurement, before: float
    ) -> None:
        movement, step = measured.movement, trainer.global_step - 1
        if movement is None:
            return
        moved = movement.moved()
        after, activity = measured.evaluate(trainer, module)
        slope = float(moved.slope)
        change = _mean(trainer, after) - _mean(trainer, torch.tensor(before))
        rates = [float(g["lr"]) for g in trainer.optimizers[0].param_groups if "lr" in g]
        row: dict[str, Any] = {"step": step, "loss": before, **self._interval()}
        row |= {
            "gain": change / slope if slope else None,
            "promised": slope,
            "examples": measured.examples * trainer.world_size,
            "grad_norm": float(moved.gradient.norm()),
            "update_ratio": float(moved.ratio),
            "lr": max(rates, default=None),
            **self._layers(module, movement, moved),
            "dead": {k: float(v) for k, v in activity.dead.items()},
            "scale": {k: float(v) for k, v in activity.scale.items()},
        }
        self.write_row(trainer, row)
        self._log_row(trainer, row)
        self._previous = (step, movement)

    def _interval(self) -> dict[str, Any]:
        """Return the losses, spikes and clipped share since the last measurement."""
        losses = _stacked(self._losses).tolist()
        spikes = []
        for (step, index), loss in zip(self._seen, losses, strict=True):
            if self._is_spike(loss):
                examples = index.tolist() if isinstance(index, Tensor) else index
                typical = median(self._typical)
                spikes.append(
                    {"step": step, "loss": loss, "typical": typical, "examples": examples}
                )
            elif math.isfinite(loss):
                self._typical.append(loss)
        found: dict[str, Any] = {"losses": losses}
        if spikes:
            found["spikes"] = spikes
        if self._clipped:
            found["clipped"] = float(_stacked(self._clipped).mean())
        self._losses, self._seen, self._clipped = [], [], []
        return found

    def _is_spike(self, loss: float) -> bool:
        if len(self._typical) < MIN_SPIKE_LOSSES:
            return False
        middle = median(self._typical)
        if loss <= 2 * middle:  # true of most losses, and faster than the deviations
            return False
        spread = median(abs(v - middle) for v in self._typical) + 1e-3 * abs(middle)
        return not loss <= middle + SPIKE_DEVIATIONS * 2 * spread

    def _layers(
        self, module: L.LightningModule, movement: Movement, moved: Moved
    ) -> dict[str, list[float]]:
        """Return the norms per matrix, in the order of the names in the file's header."""
        known, places = self._matrix_indices
        if len(known) != len(movement.weights) or any(map(is_not, known, movement.weights)):
            names = {id(p): n for n, p in module.named_parameters()}
            kept = {names[id(w)]: k for k, w in enumerate(movement.weights) if id(w) in names}
            places = [kept[n] for n in matrices(module) if n in kept]
            self._matrix_indices = movement.weights, places
        columns = {"grads": moved.gradient, "weights": moved.weight, "updates": moved.update}
        return {key: found[places].tolist() for key, found in columns.items()}

    def _log_row(self, trainer: L.Trainer, row: dict[str, Any]) -> None:
        values = {
            "monitor/gain_ratio": row["gain"],
            "monitor/update_ratio": row["update_ratio"],
            "monitor/dead_units": max(row["dead"].values(), default=None),
        }
        self.log_values(trainer, values, row["step"])

    def log_values(self, trainer: L.Trainer, values: Mapping[str, float | None], step: int) -> None:
        """Log the finite values to all loggers except CSV, since they are in the journal."""
        finite = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):
                log(logger, finite, step)

    def write_row(self, trainer: L.Trainer, row: dict[str, Any]) -> None:
        """Add a row to the record and to the journal."""
        if trainer.is_global_zero:
            row = plain_numbers(row)
            self.record.take(row)
            if self.folder is not None:
                append(self.folder / JOURNAL, row)

    # State in checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the step of the next measurement, and the values since the last one."""
        known = [i for _, i in self._seen if isinstance(i, Tensor)]
        return {
            "next": self._next,
            "losses": _stacked(self._losses),
            "steps": [s for s, _ in self._seen],
            "examples": torch.cat(known) if known else torch.empty(0, dtype=torch.int64),
            "counts": [len(i) if isinstance(i, Tensor) else 0 for _, i in self._seen],
            "typical": list(self._typical),
            "clipped": _stacked(self._clipped),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state; the previous gradient is not stored."""
        self._next = state_dict["next"]
        self._losses = list(state_dict["losses"].unbind())
        examples = state_dict["examples"].split(state_dict["counts"])
        self._seen = [
            (step, part if len(part) else None)
            for step, part in zip(state_dict["steps"], examples, strict=True)
        ]
        self._typical = deque(state_dict["typical"], maxlen=100)
        self._clipped = list(state_dict["clipped"].unbind())


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [p for g in optimizer.param_groups for p in g["params"]]


def _stacked(numbers: list[Tensor]) -> Tensor:
    """Return scalars as one tensor [N] on the CPU, where those from a checkpoint already are."""
    if not numbers:
        return torch.empty(0)
    device = numbers[-1].device
    return torch.stack([n.to(device, torch.float32) for n in numbers]).cpu()


def _mean(trainer: L.Trainer, value: Tensor) -> float:
    if trainer.world_size == 1:
        return float(value)
    return float(trainer.strategy.reduce(value.to(trainer.strategy.root_device), reduce_op="mean"))
