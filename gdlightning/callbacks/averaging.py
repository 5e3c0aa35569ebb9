"""Averages of the weights over a training, evaluated and saved in place of the weights."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import EMAWeightAveraging as LightningEMA
from lightning.pytorch.callbacks import WeightAveraging

from gdlightning.engine.step_counts import trainer_steps
from gdlightning.errors import UserError

__all__ = ["EMAWeightAveraging", "StochasticWeightAveraging"]


class Averaging(WeightAveraging):
    """Lightning's averaging, where nothing averaged yet means the weights themselves.

    Lightning evaluates and saves the initial weights until the first update; and what it saves at
    the end of training holds the average alone, so that training could not go on from there.
    """

    _swapped = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Begin with the weights in the module."""
        super().setup(trainer, pl_module, stage)
        self._swapped = False

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the average in the module, and keep the weights for the last checkpoint."""
        self._swap_models(pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same where nothing was left to train: a run resumed after its last step."""
        if self._average_model is not None and not self._swapped:
            self._swap_models(pl_module)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave the average in the module where training ends early."""
        if self._average_model is not None and not self._swapped:
            self._swap_models(pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The average as the model's weights, those that are trained beside them."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        average, current = checkpoint["state_dict"], checkpoint.get("current_model_state")
        if self._swapped and current is not None:
            checkpoint["state_dict"], checkpoint["current_model_state"] = current, average
        elif current is not None and not self._begun:
            checkpoint["state_dict"] = current

    @property
    def _begun(self) -> bool:
        return self._average_model is not None and bool(self._average_model.n_averaged)

    def _swap_models(self, pl_module: L.LightningModule) -> None:
        if self._begun:
            super()._swap_models(pl_module)
            self._swapped = not self._swapped


class EMAWeightAveraging(Averaging, LightningEMA):
    """Exponential moving average of the weights, evaluated and saved in their place."""


class StochasticWeightAveraging(Averaging):
    """Equal average of the weights at the ends of the last epochs, evaluated and saved as such.

    Izmailov et al. 2018 (arXiv:1803.05407), whose learning rate in that part is set by the
    schedule. Running statistics of batch norm are averaged, too, not computed anew.

    Args:
        start: the part of the training's steps before the first average.
        every_n_steps: optimizer steps between two averages; an epoch's if not given.

    Raises:
        UserError: a number can't be meant.
    """

    def __init__(self, start: float = 0.75, every_n_steps: int | None = None) -> None:
        if not 0 <= start < 1:
            raise UserError(f"start is {start}; write a number from 0 to below 1.")
        if every_n_steps is not None and every_n_steps < 1:
            raise UserError(f"every_n_steps is {every_n_steps}; write 1 or more.")
        super().__init__()
        self.start, self.every_n_steps = start, every_n_steps
        self._total, self._every = 0.0, 1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the steps at which there is something to average.

        Raises:
            UserError: the training, or its epoch, has no known end.
        """
        counts = trainer_steps(trainer)
        every = self.every_n_steps or counts.per_epoch
        if not counts.total or every is None:
            raise UserError(
                "callbacks: stochastic-weight-averaging needs to know when training ends.\n"
                "Set trainer.max_epochs or trainer.max_steps, and every_n_steps if an epoch has "
                "no end.",
                key="callbacks",
            )
        self._total, self._every = counts.total, every

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """At the last step of an interval, before its validation, and at the last of all."""
        if step_idx is None:
            return False
        made = step_idx + 1
        return made > self.start * self._total and (made % self._every == 0 or made == self._total)
