"""What a step of a training consists of: only what its callbacks, module and precision ask for."""

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
HOOKS = (
    "on_train_batch_start", "on_before_backward", "on_after_backward", "on_before_zero_grad",
    "on_before_optimizer_step", "on_train_batch_end",
)  # fmt: skip
"""Lightning's hooks of a step, of callbacks and module."""
OWN_LOOP = (
    "optimizer_zero_grad", "lr_scheduler_step", "on_train_batch_start", "configure_sharded_model",
)  # fmt: skip
"""Methods of a module that, where it has its own, leave the step to Lightning's loop."""
PRECISIONS = (Precision, HalfPrecision, DoublePrecision)
TRANSFER = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
UNSERVED = {"closure", "loss", "second-order"}
"""Needs of optimizers that Lightning's own closure serves."""


@dataclass
class StepPlan:
    """What a step does, found once an epoch.

    Attributes:
        callbacks: the trainer's, when this was found.
        module: that is trained.
        hooks: name of a hook → those who have it, callbacks first.
        optimization: of the module.
        optimizer: that steps.
        zero_grad: throws the gradients away.
        accumulate: batches a step.
        context: precision's, around the forward pass.
        batches: where the next comes from, where that is one loader of gdlightning's.
        takes_index: ``training_step`` takes the batch's number.
        moves: batches must be moved or changed before they are used.
        schedulers: those that go on after each optimizer step.
        validates_last: no validation before the last batch of the epoch.
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
        epoch_loop: Any = trainer.fit_loop.epoch_loop
        served = (
            type(strategy) is SingleDeviceStrategy
            and (type(precision) in PRECISIONS or _unscaled(precision))
            and type(profiler) is PassThroughProfiler
            and not UNSERVED & optimization.choice.needs
            and not optimization.choice.in_backward
            and "optimizer_step" not in optimization.own_hooks
            and not any(_has(module, name) for name in OWN_LOOP)
            and not any(c.reduce_on_plateau for c in trainer.lr_scheduler_configs)
            and len(trainer.optimizers) == 1
            and not epoch_loop.automatic_optimization._skip_backward  # SWA updates batch norms so
        )
        if not served:
            return None
        loader = getattr(trainer, "train_dataloader", None)
        return cls(
            callbacks=list(trainer.callbacks),  # type: ignore[attr-defined]
            module=module,
            hooks={name: _hooks(trainer, name) for name in HOOKS},
            optimization=optimization,
            optimizer=trainer.optimizers[0],
            zero_grad=_zero_grad(trainer.optimizers[0]),
            accumulate=trainer.accumulate_grad_batches,
            context=(
                contextlib.nullcontext if type(precision) is Precision
                else precision.train_step_context
            ),
            batches=_batches(trainer),
            takes_index=is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2),
            moves=not isinstance(loader, BatchLoader)
            or strategy.root_device.type != "cpu"
            or type(precision) in (HalfPrecision, DoublePrecision)
            or any(_has(module, name) or _data_has(trainer, name) for name in TRANSFER),
            schedulers=[c for c in trainer.lr_scheduler_configs if c.interval == "step"],
            validates_last=not internals.validates_this_epoch(trainer)
            or (
                not internals.validates_at_intervals_of_time(trainer)
                and trainer.check_val_every_n_epoch is not None
                and trainer.val_check_batch == trainer.num_training_batches
            ),
        )  # fmt: skip


def _zero_grad(optimizer: Optimizer) -> Callable[[], None]:
    """What ``zero_grad`` does, without its profiling; an optimizer's own way where it has one."""
    if type(optimizer).zero_grad is not Optimizer.zero_grad:
        return optimizer.zero_grad

    def forget() -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    return forget


def _unscaled(precision: Any) -> bool:
    return type(precision) is MixedPrecision and precision.scaler is None


def _batches(trainer: Any) -> Iterator[Any] | None:
    """The loader's own iterator, within those that can cycle through several loaders."""
    own = isinstance(trainer.train_dataloader, BatchLoader)
    return internals.single_iterator(trainer) if own else None


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
