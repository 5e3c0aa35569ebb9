"""Curvature of the loss during a run."""

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

MAX_HESSIAN_PRODUCTS = 30
"""Maximum number of Hessian-vector products for each of the two spectra."""


class Sharpness(Observer):
    """Measures the extreme eigenvalues of the Hessian, and λ·lr with the stability limit.

    The Hessian is that of the loss on the batches of one step, in training mode, after the step. A
    measurement takes the time of about 50 gradients. The first step is always measured. The weights
    of the run are bit-identical to those without the measurements, which are written to the
    monitor's file, its record and the loggers.

    Args:
        monitor: monitor of the run; ``monitor.curvature`` is the number of steps between two
            measurements.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._next, self._start_step = 0, 0
        self._measured: Measurement | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Store the batches of a step to measure."""
        if not self.monitor.on or not trainer.is_global_zero:
            return
        if trainer.global_step >= self._next and self._measured is None:
            self._measured, self._start_step = Measurement(random_state()), trainer.global_step
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
        """Measure the step, if it is complete.

        Raises:
            UserError: if the loss is not twice differentiable.
        """
        step = trainer.global_step
        if self._measured is None or step == self._start_step:
            return
        measurement, self._measured = self._measured, None
        self._next = step - 1 + self.monitor.curvature
        with restored(random_state()):
            found = _extreme_eigenvalues(
                trainer, pl_module, [batch for batch, *_ in measurement.window]
            )
        self.monitor.write_row(trainer, {"step": step - 1, "curvature": found})
        logged = {f"curvature/{k}": v for k, v in found.items() if isinstance(v, float)}
        self.monitor.log_values(trainer, logged, step - 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the step of the next measurement."""
        return {"next": self._next}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the step of the next measurement."""
        self._next = state_dict["next"]


def _extreme_eigenvalues(
    trainer: L.Trainer, module: L.LightningModule, batches: list[Any]
) -> dict[str, Any]:
    """Return the extreme eigenvalues, λ·lr and its limit; the latter two are None if unknown."""
    loss = functools.partial(loss_of, module)
    sizes = [examples(batch) for batch in batches]
    hessian = Hessian(loss, dict(module.named_parameters()), batches, sizes)
    found = extremes(hessian, top=1, bottom=1, steps=MAX_HESSIAN_PRODUCTS)
    top = measured(hessian, found.top[0], seen=1.0)
    optimizers = parts_of(trainer.optimizers[0])
    margin = standing(hessian, optimizers, top=top, steps=MAX_HESSIAN_PRODUCTS, seen=1.0)
    return {
        "largest": found.top[0].value,
        "smallest": found.bottom[0].value,
        "times_lr": margin.product.value if margin else None,
        "limit": margin.limit if margin else None,
    }
