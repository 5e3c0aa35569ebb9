"""Averages of the weights during a run, evaluated and saved instead of the weights."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import EMAWeightAveraging as LightningEMA
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn

from gdlightning.engine.step_counts import trainer_steps
from gdlightning.errors import UserError

__all__ = ["EMAWeightAveraging", "StochasticWeightAveraging"]


class Averaging(WeightAveraging):
    """Lightning's weight averaging, with the current weights until the first average.

    Lightning evaluates and saves the initial weights until the first update. At the end of
    training, it saves only the average, so that the run could not be continued from there.
    """

    _swapped = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start with the current weights in the module."""
        super().setup(trainer, pl_module, stage)
        self._swapped = False

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the average in the module, and keep the weights for the last checkpoint."""
        self._swap_models(pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the average in the module of a run that was resumed after its last step."""
        if self._average_model is not None and not self._swapped:
            self._swap_models(pl_module)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave the average in the module if training ends early."""
        if self._average_model is not None and not self._swapped:
            self._swap_models(pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as the model's weights, and the trained weights separately."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        average, current = checkpoint["state_dict"], checkpoint.get("current_model_state")
        if self._swapped and current is not None:
            checkpoint["state_dict"], checkpoint["current_model_state"] = current, average
        elif current is not None and not self._has_average:
            checkpoint["state_dict"] = current

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the trained weights to continue training; a test uses the average."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    @property
    def _has_average(self) -> bool:
        return self._average_model is not None and bool(self._average_model.n_averaged)

    def _swap_models(self, pl_module: L.LightningModule) -> None:
        if self._has_average:
            super()._swap_models(pl_module)
            self._swapped = not self._swapped


class EMAWeightAveraging(Averaging, LightningEMA):
    """Exponential moving average of the weights, evaluated and saved instead of them."""


class StochasticWeightAveraging(Averaging):
    """Mean of the weights at the ends of the last epochs, evaluated and saved instead of them.

    The method is that of Izmailov et al. 2018 (arXiv:1803.05407). The learning rate is set by the
    schedule of the run. Running statistics of batch norm are averaged, not recomputed.

    Args:
        start: fraction of the run's steps before the first average, in [0, 1).
        every_n_steps: optimizer steps between two averages. None averages once per epoch.

    Raises:
        UserError: if a value is out of range.
    """

    def __init__(self, start: float = 0.75, every_n_steps: int | None = None) -> None:
        if not 0 <= start < 1:
            raise UserError("start must be in [0, 1)", key="start", value=start)
        if every_n_steps is not None and every_n_steps < 1:
            raise UserError(
                "every_n_steps must be at least 1", key="every_n_steps", value=every_n_steps
            )
        super().__init__()
        self.start, self.every_n_steps = start, every_n_steps
        self._total, self._interval = 0.0, 1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compute the steps after which the weights are averaged.

        Raises:
            UserError: if the number of steps of the run or of an epoch is unknown.
        """
        counts = trainer_steps(trainer)
        every = self.every_n_steps or counts.per_epoch
        if not counts.total or every is None:
            raise UserError(
                "callbacks: stochastic-weight-averaging needs the number of optimizer steps of "
                "the run, which is unknown.",
                key="callbacks",
                hint="Set trainer.max_epochs or trainer.max_steps, and every_n_steps if an epoch "
                "has no end.",
            )
        self._total, self._interval = counts.total, every

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Return whether a step ends an interval or the run; called before the validation."""
        if step_idx is None:
            return False
        made = step_idx + 1
        return made > self.start * self._total and (
            made % self._interval == 0 or made == self._total
        )
