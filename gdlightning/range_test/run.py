"""The range test itself: some steps of a training while its learning rate grows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from tqdm import tqdm

from gdlightning.callbacks.optimization import Optimization
from gdlightning.data.module import DataModule
from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.options import options
from gdlightning.range_test.ramp import Ramp
from gdlightning.range_test.reading import LrRange, read
from gdlightning.range_test.untouched import untouched
from gdlightning.tasks.task import Task

STEPS, LR_MIN, LR_MAX = 210, 1e-6, 10.0
LEAST = 40
"""Steps below which there is nothing to read."""
MARKS = (0.0123, 0.0234)
"""Learning rates that nobody sets: the groups in which they turn up follow the optimizer's."""


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
    """Find the learning rates that are worth training with.

    The module is trained for some steps, by the optimizer itself with its groups and clipping,
    while the learning rate grows by the same factor each step (Smith 2017, arXiv:1506.01186). Then
    module, data and random states are put back, bit by bit.

    Args:
        module: any, under automatic optimization.
        data: a data module or loaders, as ``Trainer.fit`` takes them; None if the module has its
            own.
        optimizer: a name, or a mapping with ``name`` and options; its ``lr`` does not count.
        clip: a maximal global norm, a name, or a mapping with ``name`` and options.
        groups: rules for the parameter groups.
        steps: optimizer steps from ``lr_min`` to ``lr_max``.
        lr_min: learning rate of the first step; too small to learn anything.
        lr_max: of the last one; large enough that the loss gets out of hand before.
        trainer: arguments of Lightning's Trainer, such as accelerator, precision and
            accumulate_grad_batches; one device is used.
        progress: show a bar.

    Raises:
        UserError: the optimizer has no learning rate to test, an argument can't be meant, or no
            learning rate lowers the loss.
    """
    choice = Choice.of(optimizer)
    check(choice, steps, lr_min, lr_max)
    if not module.automatic_optimization:
        raise UserError(
            f"{type(module).__name__} steps its optimizers itself (automatic_optimization is "
            "False): its steps can't be given growing learning rates."
        )
    grouping = groups or Grouping()
    lrs = [lr_min * (lr_max / lr_min) ** (k / (steps - 1)) for k in range(steps)]
    bar = tqdm(total=steps, disable=not progress, desc="range test", leave=False)
    with untouched(module, data), bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")  # none is wanted
        ramp = Ramp(lrs, _scales(choice, optimizer, module, grouping), bar)
        how = Optimization(_at(choice, optimizer, MARKS[0]), clip=clip, grouping=grouping)
        how.attach(module)
        if isinstance(module, Task):
            module.shows_training = False
        try:
            _trainer(data, steps, ramp, trainer or {}).fit(module, data)
        except MisconfigurationException as error:
            raise UserError(f"The range test: {str(error).strip().splitlines()[0]}") from error
    return read(ramp.curve(), signs=(choice.base or choice).entry.family == "sign")


def check(choice: Choice, steps: int, lr_min: float, lr_max: float) -> None:
    """Refuse what can't be tested, before anything is built.

    Raises:
        UserError: the optimizer has no learning rate to find, or there are too few steps.
    """
    name = choice.entry.name
    if choice.entry.lr_free:
        raise UserError(
            f"The optimizer {name} estimates its learning rate itself: there is none to find.\n"
            "Its lr, if it has one, is a factor of that estimate; leave it as it is."
        )
    if choice.value("lr") is None:
        raise UserError(f"The optimizer {name} has no learning rate to find.")
    if choice.value("line_search_fn"):
        raise UserError(
            f"The optimizer {name} searches each step's length along a line: lr is only where that "
            "search begins.\nLeave it at 1."
        )
    if steps < LEAST:
        raise UserError(f"steps is {steps}; a range test needs {LEAST} or more, better {STEPS}.")
    if not 0 < lr_min < lr_max < float("inf"):
        raise UserError(
            f"lr_min is {lr_min:g} and lr_max {lr_max:g}; both are above 0, the second is larger."
        )


def lr_key(choice: Choice) -> tuple[str, ...]:
    """Where a choice's learning rate stands: its own, or its base's."""
    own = "lr" in options(choice.entry)
    return ("lr",) if own else ("base", "lr")


def _at(choice: Choice, optimizer: str | Mapping[str, Any], lr: float) -> dict[str, Any]:
    """The optimizer as it was given, with another learning rate."""
    given = {"name": optimizer} if isinstance(optimizer, str) else dict(optimizer)
    if lr_key(choice) == ("lr",) or choice.base is None:
        return {**given, "lr": lr}
    return {**given, "base": {"name": choice.base.entry.name, **choice.base.options, "lr": lr}}


def _scales(
    choice: Choice, optimizer: str | Mapping[str, Any], module: L.LightningModule, groups: Grouping
) -> list[float | None]:
    """The factor of each parameter group's learning rate; None where it is the group's own.

    Raises:
        UserError: the optimizer can't take this module, or all groups have rates of their own.
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
            f"No parameter is trained at the learning rate of {choice.entry.name}: all groups have "
            "one of their own."
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
