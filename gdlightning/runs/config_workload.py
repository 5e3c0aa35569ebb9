"""From a config to what optimizers are compared on."""

from __future__ import annotations

import contextlib
from typing import Any

import lightning.pytorch as L

from gdlightning.config.schema import Config
from gdlightning.data.data_module import DataModule
from gdlightning.engine.step_counts import planned_steps
from gdlightning.errors import UserError
from gdlightning.runs.build_run import build_data, build_grouping, build_module, with_outputs
from gdlightning.study.workload import Workload

KEPT = ("accelerator", "precision", "deterministic", "accumulate_grad_batches", "benchmark",
        "limit_train_batches", "limit_val_batches", "limit_test_batches")  # fmt: skip
"""Options of the Trainer that a trial keeps; the others concern logs, stops and devices."""


def workload(config: Config, steps: int | None = None, metric: str = "val_loss") -> Workload:
    """The task of a config; its data is loaded.

    Args:
        config: checked; its optimizer and schedule do not count.
        steps: of a whole training; the config's own if None.
        metric: that is tuned for.

    Raises:
        UserError: there is no data or no validation split, training has no end, or the metric is
            not logged.
    """
    if "model" not in config.classes:
        raise UserError(
            "model is missing: name a task, such as --model tabular-classification.", key="model"
        )
    if config.values.get("threads"):
        import torch

        torch.set_num_threads(config.values["threads"])
    L.seed_everything(config.values["seed"], workers=True, verbose=False)
    data = build_data(config)
    if data is None:
        raise UserError("data is missing: optimizers are compared on data.", key="data")
    sizes: dict[str, Any] = {}
    if isinstance(data, DataModule):
        data.setup()
        sizes = data.sizes()
        if not len(data.rows.get("val", ())):
            raise UserError(
                "There is no validation split to tune on.\nSet data.val_fraction, such as 0.1."
            )
    sizes = with_outputs(config, sizes, data)

    def module() -> L.LightningModule:
        made = build_module(config, sizes)
        if config.values.get("init_from"):
            from gdlightning.runs.find_checkpoint import init_from

            with contextlib.redirect_stdout(None):
                init_from(made, config.values["init_from"])
        return made

    given = config.values["trainer"]
    options = {k: given[k] for k in KEPT if f"trainer.{k}" in config.given and given[k] is not None}
    total = steps or total_steps(config, data)
    made = Workload(
        config.values["name"], module, data, total, config.chosen("clip"), build_grouping(config),
        metric, options, _schedule(config),
    )  # fmt: skip
    _check_metric(made)
    return made


def _schedule(config: Config) -> dict[str, Any] | None:
    """The config's own schedule, where it decays."""
    chosen = config.chosen("schedule")
    return None if chosen.get("name") == "constant" else chosen


def total_steps(config: Config, data: L.LightningDataModule) -> int:
    """Return the optimizer steps of the run that a config describes.

    Raises:
        UserError: if the config does not determine them.
    """
    total = planned_steps(config.values["trainer"], data).total
    if total is None:
        raise UserError(
            "The config does not set the length of training.\n"
            "Set --steps, trainer.max_steps or trainer.max_epochs."
        )
    return total


def _check_metric(made: Workload) -> None:
    from gdlightning.errors import did_you_mean
    from gdlightning.tasks.task import Task

    module = made.module()
    if isinstance(module, Task):
        known = [f"val_{name}" for name in ("loss", *module.metrics())]
        if made.metric not in known:
            raise UserError(
                f"--metric {made.metric} is not logged.{did_you_mean(made.metric, known)}\n"
                f"There are {', '.join(known)}."
            )
