"""The range test: a few training steps with a growing learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from tqdm import tqdm

from gdlightning.data.data_module import DataModule
from gdlightning.engine.optimization import Optimization
from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.options import options
from gdlightning.range_test.preserve_state import untouched
from gdlightning.range_test.ramp import Ramp
from gdlightning.range_test.suggestion import LrRange, read
from gdlightning.tasks.task import Task

STEPS, LR_MIN, LR_MAX = 210, 1e-6, 10.0
MIN_STEPS = 40
"""Minimum number of steps for a usable curve."""
MARKS = (0.0123, 0.0234)
"""Two unusual learning rates, to detect the groups that follow the optimizer's learning rate."""


def range_test(
    module: L.LightningModule,
    data: Any = None,
    optimizer: str | Mapping[str, Any] = "adamw",
    *,
    clip: str | float | Mapping[str, Any] | None = None,
    groups: Grouping | None = None,
    steps: int = STEPS,
    lr_min: float = LR_MIN,
    lr_max: float = LR_MAX,
    trainer: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> LrRange:
    """Find good learning rates by a range test (Smith 2017, arXiv:1506.01186).

    The module is trained for some steps with the optimizer, its groups and clipping, while the
    learning rate grows by a constant factor per step. Afterwards module, data and random states are
    restored bitwise.

    Args:
        module: any LightningModule with automatic optimization.
        data: data module or loaders, as for ``Trainer.fit``; None if the module provides them.
        optimizer: name, or mapping with ``name`` and options; its ``lr`` is ignored.
        clip: maximum global norm, name, or mapping with ``name`` and options.
        groups: rules of the parameter groups.
        steps: number of optimizer steps from ``lr_min`` to ``lr_max``.
        lr_min: learning rate of the first step; too small to learn anything.
        lr_max: learning rate of the last step; large enough for the loss to diverge before.
        trainer: arguments of Lightning's Trainer, such as accelerator, precision and
            accumulate_grad_batches; always uses one device.
        progress: whether to show a progress bar.

    Returns:
        The suggested learning rates.

    Raises:
        UserError: if the optimizer has no learning rate to find, an argument is invalid, or the
            loss does not fall at any learning rate.

    Example:
        >>> range_test(module, datamodule, "adamw").point  # doctest: +SKIP
        0.001
    """
    choice = Choice.of(optimizer)
    check(choice, steps, lr_min, lr_max)
    if not module.automatic_optimization:
        raise UserError(
            f"{type(module).__name__} uses manual optimization (automatic_optimization is False), "
            "which the range test does not support."
        )
    grouping = groups or Grouping()
    lrs = [lr_min * (lr_max / lr_min) ** (k / (steps - 1)) for k in range(steps)]
    bar = tqdm(total=steps, disable=not progress, desc="range test", leave=False)
    with untouched(module, data), bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")  # validation is disabled
        ramp = Ramp(lrs, _scales(choice, optimizer, module, grouping), bar)
        how = Optimization(_at(choice, optimizer, MARKS[0]), clip=clip, grouping=grouping)
        how.attach(module)
        if isinstance(module, Task):
            module.shows_training = False
        try:
            _trainer(data, steps, ramp, trainer or {}).fit(module, data)
        except MisconfigurationException as error:
            first = str(error).strip().splitlines()[0]
            raise UserError(f"The range test failed: {first}") from error
    return read(ramp.curve(), signs=(choice.base or choice).entry.family == "sign")


def check(choice: Choice, steps: int, lr_min: float, lr_max: float) -> None:
    """Raise an error for optimizers and arguments that cannot be tested.

    Raises:
        UserError: if the optimizer has no learning rate to find, or a number is out of range.
    """
    name = choice.entry.name
    if choice.entry.lr_free:
        raise UserError(
            f"The optimizer {name} estimates its learning rate, so there is none to find.\n"
            "If it has an lr, it is a multiplier of the estimate. Keep its default."
        )
    if choice.value("lr") is None:
        raise UserError(f"The optimizer {name} has no learning rate to find.")
    if choice.value("line_search_fn"):
        raise UserError(
            f"The optimizer {name} uses a line search, and lr is only its initial step size.\n"
            "Set it to 1."
        )
    if steps < MIN_STEPS:
        raise UserError(
            f"steps must be at least {MIN_STEPS}, better {STEPS}, for a range test (got {steps})."
        )
    if not 0 < lr_min < lr_max < float("inf"):
        raise UserError(
            "lr_min must be positive and smaller than lr_max "
            f"(got lr_min {lr_min:g}, lr_max {lr_max:g})."
        )


def lr_key(choice: Choice) -> tuple[str, ...]:
    """Return the key path of a choice's learning rate: its own, or that of its base."""
    own = "lr" in options(choice.entry)
    return ("lr",) if own else ("base", "lr")


def _at(choice: Choice, optimizer: str | Mapping[str, Any], lr: float) -> dict[str, Any]:
    """Return the optimizer as given, with a different learning rate."""
    given = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
    if lr_key(choice) == ("lr",) or choice.base is None:
        return {**given, "lr": lr}
    return {**given, "base": {"name": choice.base.entry.name, **choice.base.options, "lr": lr}}


def _scales(
    choice: Choice, optimizer: str | Mapping[str, Any], module: L.LightningModule, groups: Grouping
) -> list[float | None]:
    """Return the multiplier of each group's learning rate, or None for groups with a fixed one.

    Raises:
        UserError: if the optimizer does not support the module, or all groups have fixed learning
            rates.
    """
    first, second = (
        build(Choice.of(_at(choice, optimizer, lr)), module, groups, Context())[0].param_groups
        for lr in MARKS
    )
    scales = [
        a["lr"] / MARKS[0] if "lr" in a and a["lr"] != b["lr"] else None
        for a, b in zip(first, second, strict=True)
    ]
    if not any(scales):
        raise UserError(
            f"No parameter group uses the learning rate of {choice.entry.name}: all groups have "
            "their own."
        )
    return scales


def _trainer(data: Any, steps: int, ramp: Ramp, given: Mapping[str, Any]) -> L.Trainer:
    arguments: dict[str, Any] = {**given, "devices": 1, "num_nodes": 1}
    if isinstance(data, DataModule):
        data.setup()
        if data.pieces > 1:
            arguments["accumulate_grad_batches"] = data.pieces
    return L.Trainer(
        **arguments,
        max_steps=steps,
        max_epochs=-1,
        callbacks=[ramp],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
