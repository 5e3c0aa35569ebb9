"""The parts of a training step that the callbacks, the module and the precision need."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.core.datamodule import LightningDataModule
from lightning.pytorch.plugins.precision import (
    DoublePrecision,
    HalfPrecision,
    MixedPrecision,
    Precision,
)
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch.optim import Optimizer

from gdlightning import internals
from gdlightning.data.loader import BatchLoader
from gdlightning.engine.optimization import Optimization

Hook = Callable[..., Any]
STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_backward",
    "on_after_backward",
    "on_before_zero_grad",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""Lightning's hooks of a step, which callbacks and modules can implement."""
UNSUPPORTED_METHODS = (
    "optimizer_zero_grad",
    "lr_scheduler_step",
    "on_train_batch_start",
    "configure_sharded_model",
)
"""Methods of a module that require Lightning's loop if they are overridden."""
UNSCALED_PRECISIONS = (Precision, HalfPrecision, DoublePrecision)
TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
UNSUPPORTED_NEEDS = {"closure", "loss", "second-order"}
"""Needs of optimizers that require Lightning's closure."""


@dataclass
class StepPlan:
    """Parts of a training step, computed once per epoch.

    Attributes:
        callbacks: callbacks of the trainer when the plan was computed.
        module: module that is trained.
        hooks: name of a hook → its implementations, callbacks first.
        optimization: optimization of the module.
        optimizer: optimizer of the step.
        zero_grad: function that clears the gradients.
        accumulate: number of batches per optimizer step.
        context: context manager of the precision for the forward pass.
        batches: iterator over the batches; None unless they come from a single ``BatchLoader``.
        takes_index: whether ``training_step`` takes the batch index.
        moves: whether batches are converted or moved to the device before they are used.
        schedulers: configurations of the schedulers that are stepped per optimizer step.
        validates_last: whether there is no validation before the last batch of the epoch.
    """

    callbacks: list[L.Callback]
    module: L.LightningModule
    hooks: dict[str, list[Hook]]
    optimization: Optimization
    optimizer: Optimizer
    zero_grad: Callable[[], None]
    accumulate: int
    context: Callable[[], contextlib.AbstractContextManager[Any]]
    batches: Iterator[Any] | None
    takes_index: bool
    moves: bool
    schedulers: list[Any]
    validates_last: bool

    @classmethod
    def of(cls, trainer: L.Trainer) -> StepPlan | None:
        """Return the plan of a run, or None if it needs Lightning's loop.

        Lightning's loop is needed with several processes, a gradient scaler, manual optimization,
        an optimizer that evaluates the loss, a profiler, or a module that overrides methods that
        the plan does not call.
        """
        module, strategy = trainer.lightning_module, trainer.strategy
        step = vars(module).get("optimizer_step")
        optimization = getattr(step, "__self__", None)
        if not isinstance(optimization, Optimization) or not module.automatic_optimization:
            return None
        precision, profiler = trainer.precision_plugin, trainer.profiler  # type: ignore[attr-defined]
        epoch_loop: Any = trainer.fit_loop.epoch_loop
        supported = (
            type(strategy) is SingleDeviceStrategy
            and (type(precision) in UNSCALED_PRECISIONS or _is_unscaled_mixed(precision))
            and type(profiler) is PassThroughProfiler
            and not UNSUPPORTED_NEEDS & optimization.choice.needs
            and not optimization.choice.in_backward
            and "optimizer_step" not in optimization.own_hooks
            and not any(_has(module, name) for name in UNSUPPORTED_METHODS)
            and not any(c.reduce_on_plateau for c in trainer.lr_scheduler_configs)
            and len(trainer.optimizers) == 1
            # set while SWA updates batch-norm statistics
            and not epoch_loop.automatic_optimization._skip_backward
        )
        if not supported:
            return None
        loader = getattr(trainer, "train_dataloader", None)
        return cls(
            callbacks=list(trainer.callbacks),  # type: ignore[attr-defined]
            module=module,
            hooks={name: _hooks(trainer, name) for name in STEP_HOOKS},
            optimization=optimization,
            optimizer=trainer.optimizers[0],
            zero_grad=_zero_grad(trainer.optimizers[0]),
            accumulate=trainer.accumulate_grad_batches,
            context=(
                contextlib.nullcontext
                if type(precision) is Precision
                else precision.train_step_context
            ),
            batches=_batches(trainer),
            takes_index=is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2),
            moves=not isinstance(loader, BatchLoader)
            or strategy.root_device.type != "cpu"
            or type(precision) in (HalfPrecision, DoublePrecision)
            or any(_has(module, name) or _data_has(trainer, name) for name in TRANSFER_HOOKS),
            schedulers=[c for c in trainer.lr_scheduler_configs if c.interval == "step"],
            validates_last=not internals.validates_this_epoch(trainer)
            or (
                not internals.validates_at_intervals_of_time(trainer)
                and trainer.check_val_every_n_epoch is not None
                and trainer.val_check_batch == trainer.num_training_batches
            ),
        )


def _zero_grad(optimizer: Optimizer) -> Callable[[], None]:
    """Return a ``zero_grad`` without profiling, or the optimizer's method if it overrides it."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        return optimizer.zero_grad

    def clear() -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    return clear


def _is_unscaled_mixed(precision: Any) -> bool:
    return type(precision) is MixedPrecision and precision.scaler is None


def _batches(trainer: Any) -> Iterator[Any] | None:
    """Return the iterator of a single ``BatchLoader``, without Lightning's wrappers."""
    own = isinstance(trainer.train_dataloader, BatchLoader)
    return internals.single_iterator(trainer) if own else None


def _hooks(trainer: L.Trainer, name: str) -> list[Hook]:
    found = [
        getattr(c, name)
        for c in trainer.callbacks  # type: ignore[attr-defined]
        if _is_overridden(c, name, L.Callback)
    ]
    if _has(trainer.lightning_module, name):
        own = getattr(trainer.lightning_module, name)
        found.append(lambda trainer, module, *args: own(*args))
    return found


def _has(module: L.LightningModule, name: str) -> bool:
    return _is_overridden(module, name, L.LightningModule)


def _data_has(trainer: Any, name: str) -> bool:
    data = trainer.datamodule
    return data is not None and _is_overridden(data, name, LightningDataModule)


def _is_overridden(owner: Any, name: str, base: type) -> bool:
    """Return whether an object's method differs from that of the base class."""
    method = getattr(owner, name, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(
        base, name, None
    )
