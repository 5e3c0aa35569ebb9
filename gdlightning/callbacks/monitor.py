"""What is measured of a training while it runs, for its diagnosis."""

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

from gdlightning.callbacks.measurement import Measurement, measurable
from gdlightning.callbacks.monitor_header import head, matrices
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

FIRST, LAST, SHARE = 10, 500, 6
"""The gap between two measurements is a sixth of the steps so far, within these bounds."""
SPIKE, LEAST = 4.0, 30
"""A loss that many typical deviations above the median of so many others is a spike."""


class Monitor(Observer):
    """Measures a step now and then, and writes what it saw as a line of ``instruments.jsonl``.

    Of a measured step: the gain ratio, which is the change of its batch's loss over what the
    gradient promised (one forward pass more); norms of gradient, weight and step of each layer; the
    angle between its gradient and the next step's, which tells the noise; the scale of activations
    and the share of dead units. Between measurements: the losses, and which examples made a spike.
    Training itself is not changed by a bit. Without ``every``, measurements begin ten steps apart
    and grow rarer, so that a long training is hardly slowed down.

    Args:
        every: optimizer steps between two measurements; 0 measures nothing.
        curvature: for a ``Sharpness`` beside it: optimizer steps between two measurements of the
            Hessian, which cost some fifty gradients each; 0 measures none.

    Attributes:
        folder: the run's.
        record: what was measured so far.
        on: whether this training can be measured.
        optimization: how the model is optimized.
    """

    def __init__(self, every: int | None = None, curvature: int = 0) -> None:
        for key, value in (("every", every), ("curvature", curvature)):
            if value is not None and value < 0:
                raise UserError(
                    f"monitor.{key} is {value}; write 1 or more, 0 for never.", key=f"monitor.{key}"
                )
        if every == 0 and curvature:
            raise UserError(
                "monitor.every is 0, so nothing is measured; leave it out.", key="monitor.every"
            )
        self.every, self.curvature = every, curvature
        self.folder: Path | None = None
        self.record = RunRecord()
        self.optimization: Optimization | None = None
        self._next, self._last = 0, -1
        self.on, self._awaited, self._begins = False, 0, False
        self._step_loss: Tensor | None = None
        self._losses: list[Tensor] = []
        self._seen: list[tuple[int, Any]] = []
        self._typical: deque[float] = deque(maxlen=100)
        self._clipped: list[Tensor] = []
        self._measured: Measurement | None = None
        self._former: tuple[int, Movement] | None = None
        self._places: tuple[list[Tensor], list[int]] = [], []

    # Lightning's hooks, in the order of a step

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """See whether this training can be measured; begin the file."""
        self.on = self.every != 0 and measurable(trainer, pl_module, self.optimization)
        self._step_loss, self._awaited, self._last = None, 0, trainer.global_step
        self._begins = self.on and trainer.global_step == 0 and trainer.is_global_zero

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batches of a step that is to be measured, and the random state before it."""
        if not self.on:
            return
        if self._begins:  # not earlier: a run that is resumed at step 0 has an old file until now
            self._begins = False
            start = head(trainer, pl_module, self.optimization)
            self.note(trainer, {"step": 0, "start": start})
        self._awaited += 1
        if trainer.global_step >= self._next and self._measured is None:
            self._measured = Measurement(random_state())
        if self._measured is not None:
            self._measured.add(trainer, batch, batch_idx)

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Keep the loss."""
        if self.on and self._awaited:  # an optimizer's further evaluations are not counted
            self._awaited -= 1
            own, weight = loss.detach(), self._window().share
            own = own if weight == 1.0 else own * weight
            self._step_loss = own if self._step_loss is None else self._step_loss + own

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Keep weights and gradients of a measured step; compare the gradient after one."""
        if not self.on:
            return
        if self._step_loss is None:  # the module skipped all batches of this step
            return
        if self._former is not None:
            step, movement = self._former
            dot, first, second = (float(v) for v in movement.alike(_weights(optimizer)))
            self._former = None
            self.note(trainer, {"step": step, "alike": [dot, first, second]})
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
        """Measure, if a step was made and it is time."""
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
        """Write what the validation gave."""
        if fitting(trainer) and self.on:
            found = {k: float(v) for k, v in trainer.callback_metrics.items() if "val" in k}
            self.note(trainer, {"step": max(0, trainer.global_step - 1), "val": found})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what was gathered since the last measurement."""
        if self.on and self._losses:
            self.note(trainer, {"step": trainer.global_step - 1} | self._interval())

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """The same, where training ends early: those are the steps that tell why."""
        if isinstance(exception, Exception):
            self.on_train_end(trainer, pl_module)

    def _window(self) -> AccumulationWindow:
        return self.optimization.window if self.optimization is not None else AccumulationWindow()

    # The measurement

    def _gap(self, step: int) -> int:
        return self.every or min(LAST, max(FIRST, step // SHARE))

    def _measure(
        self, trainer: L.Trainer, module: L.LightningModule, measured: Measurement, before: float
    ) -> None:
        movement, step = measured.movement, trainer.global_step - 1
        if movement is None:
            return
        moved = movement.moved()
        after, activity = measured.again(trainer, module)
        slope = float(moved.slope)
        change = _mean(trainer, after) - _mean(trainer, torch.tensor(before))
        row: dict[str, Any] = {"step": step, "loss": before, **self._interval()}
        row |= {
            "gain": change / slope if slope else None,
            "promised": slope,
            "examples": measured.examples * trainer.world_size,
            "grad_norm": float(moved.gradient.norm()),
            "update_ratio": float(moved.ratio),
            "lr": max((float(g["lr"]) for g in trainer.optimizers[0].param_groups if "lr" in g),
                      default=None),
            **self._layers(module, movement, moved),
            "dead": {k: float(v) for k, v in activity.dead.items()},
            "scale": {k: float(v) for k, v in activity.scale.items()},
        }  # fmt: skip
        self.note(trainer, row)
        self._show(trainer, row)
        self._former = (step, movement)

    def _interval(self) -> dict[str, Any]:
        """What the steps since the last measurement gave, spikes among them."""
        losses = _row(self._losses).tolist()
        spikes = []
        for (step, index), loss in zip(self._seen, losses, strict=True):
            if self._is_spike(loss):
                examples = index.tolist() if isinstance(index, Tensor) else index
                spikes.append({"step": step, "loss": loss, "typical": median(self._typical),
                               "examples": examples})  # fmt: skip
            elif math.isfinite(loss):
                self._typical.append(loss)
        found: dict[str, Any] = {"losses": losses}
        if spikes:
            found["spikes"] = spikes
        if self._clipped:
            found["clipped"] = float(_row(self._clipped).mean())
        self._losses, self._seen, self._clipped = [], [], []
        return found

    def _is_spike(self, loss: float) -> bool:
        if len(self._typical) < LEAST:
            return False
        middle = median(self._typical)
        if loss <= 2 * middle:  # most are; the spread takes longer
            return False
        spread = median(abs(v - middle) for v in self._typical) + 1e-3 * abs(middle)
        return not loss <= middle + SPIKE * 2 * spread

    def _layers(
        self, module: L.LightningModule, movement: Movement, moved: Moved
    ) -> dict[str, list[float]]:
        """Norms of the matrices, in the order of the names at the head of the file."""
        known, places = self._places
        if len(known) != len(movement.weights) or any(map(is_not, known, movement.weights)):
            names = {id(p): n for n, p in module.named_parameters()}
            kept = {names[id(w)]: k for k, w in enumerate(movement.weights) if id(w) in names}
            places = [kept[n] for n in matrices(module) if n in kept]
            self._places = movement.weights, places
        columns = {"grads": moved.gradient, "weights": moved.weight, "updates": moved.update}
        return {key: found[places].tolist() for key, found in columns.items()}

    def _show(self, trainer: L.Trainer, row: dict[str, Any]) -> None:
        shown = {"monitor/gain_ratio": row["gain"], "monitor/update_ratio": row["update_ratio"],
                 "monitor/dead_units": max(row["dead"].values(), default=None)}  # fmt: skip
        self.show(trainer, shown, row["step"])

    def show(self, trainer: L.Trainer, values: Mapping[str, float | None], step: int) -> None:
        """Log what is finite of some numbers."""
        known = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
        for logger in trainer.loggers:
            if not isinstance(logger, CSVLogger):  # it has the other file
                log(logger, known, step)

    def note(self, trainer: L.Trainer, row: dict[str, Any]) -> None:
        """Add a line to the record and its file."""
        if trainer.is_global_zero:
            row = plain_numbers(row)
            self.record.take(row)
            if self.folder is not None:
                append(self.folder / JOURNAL, row)

    # What a checkpoint keeps

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, with what it has gathered since the last measurement."""
        known = [i for _, i in self._seen if isinstance(i, Tensor)]
        return {
            "next": self._next,
            "losses": _row(self._losses),
            "steps": [s for s, _ in self._seen],
            "examples": torch.cat(known) if known else torch.empty(0, dtype=torch.int64),
            "counts": [len(i) if isinstance(i, Tensor) else 0 for _, i in self._seen],
            "typical": list(self._typical),
            "clipped": _row(self._clipped),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; the gradient of the step before is not kept."""
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


def _row(numbers: list[Tensor]) -> Tensor:
    """Shapes [] to one [numbers], on the CPU; those from a checkpoint are there already."""
    if not numbers:
        return torch.empty(0)
    device = numbers[-1].device
    return torch.stack([n.to(device, torch.float32) for n in numbers]).cpu()


def _mean(trainer: L.Trainer, value: Tensor) -> float:
    if trainer.world_size == 1:
        return float(value)
    return float(trainer.strategy.reduce(value.to(trainer.strategy.root_device), reduce_op="mean"))
