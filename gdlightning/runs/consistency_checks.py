"""Check that settings are consistent with the data and the task, before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import lightning.pytorch as L

from gdlightning.config.schema import Config
from gdlightning.data.data_module import DataModule
from gdlightning.engine.step_counts import planned_steps
from gdlightning.errors import UserError, did_you_mean, shown
from gdlightning.schedules import Schedule
from gdlightning.tasks.task import Task

LIMITED = (
    ("limit_train_batches", "train"),
    ("limit_val_batches", "val"),
    ("limit_test_batches", "test"),
    ("overfit_batches", "train"),
    ("overfit_batches", "val"),
)
"""Options that may be a fraction of the batches of a split, and the split."""


def check(
    config: Config,
    module: L.LightningModule,
    data: L.LightningDataModule | None,
    schedule: Schedule,
) -> None:
    """Check the length of the warmup, fractions of batches, and the names of monitored metrics.

    Raises:
        UserError: if the warmup is not shorter than the run, a fraction is less than one batch, or
            a metric is not logged.
    """
    accumulate = config.values["trainer"].get("accumulate_grad_batches") or 1
    if accumulate < 1:
        raise UserError(
            f"trainer.accumulate_grad_batches must be at least 1 (got {accumulate}).",
            key="trainer.accumulate_grad_batches",
        )
    _check_validation(config, module, data, schedule)
    if isinstance(data, DataModule):
        _check_parts(config, data)
        counts = planned_steps(config.values["trainer"], data)
        if counts.total is not None:
            schedule.warmup_steps(counts.total, counts.per_epoch)
        if isinstance(module, Task) and type(module).__module__.startswith("gdlightning."):
            _check_monitors(config, module, data)


def _check_validation(
    config: Config,
    module: L.LightningModule,
    data: L.LightningDataModule | None,
    schedule: Schedule,
) -> None:
    """Check that a run with early stopping is validated.

    Raises:
        UserError: if it is not.
    """
    if config.values["patience"] is None:
        return
    limit = config.values["trainer"].get("limit_val_batches")
    if limit == 0 or not _validates(module, data):
        why = "trainer.limit_val_batches is 0" if limit == 0 else "there is no validation data"
        raise UserError(
            f"patience stops a run by its validations, but {why}.\n"
            "Add validation data (data.val_fraction), or remove patience.",
            key="patience",
        )


def _validates(module: L.LightningModule, data: L.LightningDataModule | None) -> bool:
    if isinstance(data, DataModule):
        return bool(len(data.rows.get("val", ())))
    owners = [(module, L.LightningModule)] + ([(data, L.LightningDataModule)] if data else [])
    loader = any(type(o).val_dataloader is not base.val_dataloader for o, base in owners)
    return loader and type(module).validation_step is not L.LightningModule.validation_step


def _check_parts(config: Config, data: DataModule) -> None:
    trainer = config.values["trainer"]
    for key, part in LIMITED:
        limit, rows = trainer.get(key), len(data.rows.get(part, ()))
        batches = len(data.loader(part)) if rows else 0
        if batches and isinstance(limit, float) and 0 < limit < 1 and int(batches * limit) < 1:
            raise UserError(
                f"trainer.{key} is {limit}, which is less than one of the {batches} batches.\n"
                "Set a larger fraction, a number of batches, or a smaller data.batch_size.",
                key=f"trainer.{key}",
            )


def _check_monitors(config: Config, module: Task, data: DataModule) -> None:
    parts = [p for p in ("train", "val") if len(data.rows.get(p, ()))]
    if config.values["trainer"].get("limit_val_batches") == 0:
        parts = ["train"]
    logged = [f"{p}_{name}" for p in parts for name in ("loss", *module.metrics())]
    for key, name in _monitors(config):
        if name not in logged:
            raise UserError(
                f"{key} is {shown(name)}, which is not logged.{did_you_mean(name, logged)}\n"
                f"Logged metrics: {', '.join(logged)}.",
                key=key.partition(":")[0],
            )


def _monitors(config: Config) -> Iterator[tuple[str, str]]:
    """Yield key and name of each metric that the config monitors."""
    schedule = config.values["schedule"]
    if "monitor" in schedule:
        yield "schedule.monitor", schedule["monitor"]
    if "checkpoint.monitor" in config.given:
        yield "checkpoint.monitor", config.values["checkpoint"]["monitor"]
    for callback in config.values["callbacks"]:
        if isinstance(callback, Mapping) and isinstance(callback.get("monitor"), str):
            yield f"callbacks: the monitor of {callback.get('name')}", callback["monitor"]
