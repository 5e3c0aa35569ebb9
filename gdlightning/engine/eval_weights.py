"""Switching between training weights and evaluation weights of an optimizer."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

TRAINING_WEIGHTS = "training_weights"


class Modes(L.Callback):
    """Calls ``train()`` and ``eval()`` of optimizers that have them, such as schedule-free ones.

    Validation, testing, prediction, checkpoints and the module after training use the evaluation
    weights. Afterwards, training continues with bit-identical weights: ``train()`` does not exactly
    invert ``eval()``, so the training weights are stored and restored.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] | None = None
        self._loaded: dict[str, Tensor] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Switch to the training weights, and load those of a checkpoint."""
        _switch(trainer, "train")
        if self._loaded is not None:
            _copy(self._loaded, pl_module)
            self._loaded = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Switch to the evaluation weights, if the validation is part of training."""
        if fitting(trainer) and self.kept is None:
            self._evaluate(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Switch back to the training weights."""
        if fitting(trainer):
            self._train(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the evaluation weights in the module."""
        if self.kept is None:
            self._evaluate(trainer, pl_module)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave the evaluation weights in the module if training ends early."""
        if trainer.optimizers and self.kept is None:
            self._evaluate(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the evaluation weights as the model's, and the training weights separately."""
        if not trainer.optimizers:
            return
        training = self.kept is None
        if training:
            self._evaluate(trainer, pl_module)
        checkpoint["state_dict"] = {
            k: v.clone() for k, v in trainer.strategy.lightning_module_state_dict().items()
        }
        checkpoint[TRAINING_WEIGHTS] = self.kept
        if training:
            self._train(trainer, pl_module)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the training weights for ``on_train_start``."""
        self._loaded = checkpoint.get(TRAINING_WEIGHTS)

    def _evaluate(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.kept = {name: p.detach().clone() for name, p in module.named_parameters()}
        _switch(trainer, "eval")

    def _train(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        _switch(trainer, "train")
        if self.kept is not None:
            _copy(self.kept, module)
        self.kept = None


def fitting(trainer: L.Trainer) -> bool:
    """Return whether the trainer is fitting, including validation but not the sanity check."""
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking


@torch.no_grad()
def _copy(weights: dict[str, Tensor], module: L.LightningModule) -> None:
    for name, parameter in module.named_parameters():
        parameter.copy_(weights[name])


def _switch(trainer: L.Trainer, mode: str) -> None:
    for optimizer in trainer.optimizers:
        method = getattr(optimizer, mode, None)
        if isinstance(optimizer, Optimizer) and callable(method):
            method()
