"""The curvature of the loss while a model trains, on request."""

from __future__ import annotations

import functools
from typing import Any

import lightning.pytorch as L

from gdlightning.callbacks.measurement import Measurement
from gdlightning.callbacks.monitor import Monitor
from gdlightning.callbacks.observer import Observer
from gdlightning.curvature.curvature_report import measured
from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.lanczos import extremes
from gdlightning.curvature.stability_margin import standing
from gdlightning.optimizers.wrappers.wrapper import parts_of
from gdlightning.tasks.objective import loss_of
from gdlightning.tasks.rng import random_state, restored
from gdlightning.tasks.task import examples

PRODUCTS = 30
"""With the Hessian, at most, for each of two spectra."""


class Sharpness(Observer):
    """Measures the ends of the Hessian every so many steps, and λ·lr beside what is stable.

    It is the loss of one step's batches, in training mode, after the step; a measurement costs some
    fifty gradients, the first is made of the first step. Training is not changed by a bit. What it
    finds goes where the monitor's findings go: its file, its record, the loggers.

    Args:
        monitor: of the same training; ``monitor.curvature`` is the number of steps between two.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._next, self._begun = 0, 0
        self._measured: Measurement | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batches of a step that is to be measured."""
        if not self.monitor.on or not trainer.is_global_zero:
            return
        if trainer.global_step >= self._next and self._measured is None:
            self._measured, self._begun = Measurement(random_state()), trainer.global_step
        if self._measured is not None:
            self._measured.add(trainer, batch, batch_idx)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Measure, if the step was made.

        Raises:
            UserError: the loss has no second derivative.
        """
        step = trainer.global_step
        if self._measured is None or step == self._begun:
            return
        kept, self._measured = self._measured, None
        self._next = step - 1 + self.monitor.curvature
        with restored(random_state()):
            found = _ends(trainer, pl_module, [batch for batch, *_ in kept.window])
        self.monitor.note(trainer, {"step": step - 1, "curvature": found})
        shown = {f"curvature/{k}": v for k, v in found.items() if isinstance(v, float)}
        self.monitor.show(trainer, shown, step - 1)

    def state_dict(self) -> dict[str, Any]:
        """When it measures next."""
        return {"next": self._next}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._next = state_dict["next"]


def _ends(trainer: L.Trainer, module: L.LightningModule, batches: list[Any]) -> dict[str, Any]:
    """Largest and smallest eigenvalue, λ·lr at the peak rate and its limit; None if unknown."""
    loss = functools.partial(loss_of, module)
    sizes = [examples(batch) for batch in batches]
    hessian = Hessian(loss, dict(module.named_parameters()), batches, sizes)
    found = extremes(hessian, top=1, bottom=1, steps=PRODUCTS)
    top = measured(hessian, found.top[0], seen=1.0)
    optimizers = parts_of(trainer.optimizers[0])
    stands = standing(hessian, optimizers, top=top, steps=PRODUCTS, seen=1.0)
    return {
        "largest": found.top[0].value,
        "smallest": found.bottom[0].value,
        "times_lr": stands.product.value if stands else None,
        "limit": stands.limit if stands else None,
    }
