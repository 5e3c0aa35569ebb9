"""What a step of a training consists of: only what its callbacks, module and precision ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.core.datamodule import LightningDataModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch.optim import Optimizer

from gdlightning.callbacks.optimization import Optimization
from gdlightning.data.loader import BatchLoader

Hook = Callable[..., Any]
HOOKS = (
    "on_train_batch_start", "on_before_backward", "on_after_backward", "on_before_zero_grad",
    "on_before_optimizer_step", "on_train_batch_end",
)  # fmt: skip
"""Lightning's hooks of a step, of callbacks and module."""
OWN_LOOP = (
    "optimizer_zero_grad", "lr_scheduler_step", "on_train_batch_start", "configure_sharded_model",
)  # fmt: skip
"""Methods of a module that, where it has its own, leave the step to Lightning's loop."""
TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
UNSERVED = {"closure", "loss", "second-order"}
"""Needs of optimizers that Lightning's own closure serves."""


@dataclass
class Plan:
    """What a step does, found once an epoch.

    Attributes:
        callbacks: the trainer's, when this was found.
        hooks: name of a hook → those who have it, callbacks first.
        optimization: of the module.
        optimizer: that steps.
        accumulate: batches a step.
        context: precision's, around the forward pass.
        takes_index: ``training_step`` takes the batch's number.
        moves: batches must be moved or changed before they are used.
        validates_last: no validation before the last batch of the epoch.
    """

    callbacks: list[L.Callback]
    hooks: dict[str, list[Hook]]
    optimization: Optimization
    optimizer: Optimizer
    accumulate: int
    context: Callable[[], contextlib.AbstractContextManager[Any]]
    takes_index: bool
    moves: bool
    validates_last: bool

    @classmethod
    def of(cls, trainer: L.Trainer) -> Plan | None:
        """The plan of a training, or None where Lightning's own loop is needed.

        It is where a training has several processes or a scaler, optimizes by hand or by an
        optimizer that evaluates the loss itself, is profiled, or has a module with methods of its
        own for what is left out here.
        """
        module, strategy = trainer.lightning_module, trainer.strategy
        step = vars(module).get("optimizer_step")
        optimization = getattr(step, "__self__", None)
        if not isinstance(optimization, Optimization) or not module.automatic_optimization:
            return None
        precision, profiler = trainer.precision_plugin, trainer.profiler  # type: ignore[attr-defined]
        served = (
            type(strategy) is SingleDeviceStrategy
            and (type(precision) is Precision or _unscaled(precision))
            and type(profiler) is PassThroughProfiler
            and not UNSERVED & optimization.choice.needs
            and not optimization.choice.in_backward
            and not any(_has(module, name) for name in OWN_LOOP)
            and not any(c.reduce_on_plateau for c in trainer.lr_scheduler_configs)
            and len(trainer.optimizers) == 1
        )
        if not served:
            return None
        loader = getattr(trainer, "train_dataloader", None)
        epoch_loop: Any = trainer.fit_loop.epoch_loop
        return cls(
            callbacks=list(trainer.callbacks),  # type: ignore[attr-defined]
            hooks={name: _hooks(trainer, name) for name in HOOKS},
            optimization=optimization,
            optimizer=trainer.optimizers[0],
            accumulate=trainer.accumulate_grad_batches,
            context=(
                contextlib.nullcontext if type(precision) is Precision
                else precision.train_step_context
            ),
            takes_index=is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2),
            moves=not isinstance(loader, BatchLoader)
            or strategy.root_device.type != "cpu"
            or any(_has(module, name) or _data_has(trainer, name) for name in TRANSFER),
            validates_last=not epoch_loop._should_check_val_epoch()
            or (
                trainer._val_check_time_interval is None
                and trainer.check_val_every_n_epoch is not None
                and trainer.val_check_batch == trainer.num_training_batches
            ),
        )  # fmt: skip


def _unscaled(precision: Any) -> bool:
    return type(precision) is MixedPrecision and precision.scaler is None


def _hooks(trainer: L.Trainer, name: str) -> list[Hook]:
    found = [
        getattr(c, name)
        for c in trainer.callbacks  # type: ignore[attr-defined]
        if _differs(c, name, L.Callback)
    ]
    if _has(trainer.lightning_module, name):
        own = getattr(trainer.lightning_module, name)
        found.append(lambda trainer, module, *args: own(*args))
    return found


def _has(module: L.LightningModule, name: str) -> bool:
    return _differs(module, name, L.LightningModule)


def _data_has(trainer: Any, name: str) -> bool:
    data = trainer.datamodule
    return data is not None and _differs(data, name, LightningDataModule)


def _differs(owner: Any, name: str, base: type) -> bool:
    """Whether an object has a method of its own, by its class or by itself."""
    method = getattr(owner, name, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(
        base, name, None
    )
