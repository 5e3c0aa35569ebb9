"""Lightning's Trainer for a training: loggers, callbacks, checkpoints in the run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import LambdaCallback, LearningRateMonitor, WeightAveraging
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from gdlightning import internals
from gdlightning.callbacks.checkpoints import Checkpoints, Restore
from gdlightning.callbacks.monitor import Monitor
from gdlightning.callbacks.patience import Patience
from gdlightning.callbacks.progress import Progress
from gdlightning.callbacks.run_metadata import RunMetadata
from gdlightning.callbacks.start_line import StartLine
from gdlightning.callbacks.step_logger import Watch
from gdlightning.callbacks.stop_conditions import Stops, StopsUnsaved
from gdlightning.callbacks.verdicts import Verdicts
from gdlightning.config.trainer_errors import trainer_error
from gdlightning.data.data_module import DataModule
from gdlightning.data.resumable import make_resumable
from gdlightning.engine.divergence_guard import Guard
from gdlightning.engine.epoch_loop import EpochLoop
from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.registry import MODULE
from gdlightning.runs.build_run import Training
from gdlightning.runs.config_callbacks import build_callbacks
from gdlightning.runs.resume import Run
from gdlightning.runs.run_folder import plain
from gdlightning.storage.checkpoint import FORMAT
from gdlightning.storage.checkpoint_io import PlainCheckpoints
from gdlightning.storage.logs import BoardLogger, KeptCSVLogger
from gdlightning.tasks.task import Task

LOGGERS = ("tensorboard", "csv", "wandb", "mlflow")


def check(training: Training) -> None:
    """Refuse what the Trainer would refuse later, before a folder is made.

    Raises:
        UserError: an unknown logger, or Trainer arguments that contradict each other.
    """
    for name in training.config.values["loggers"]:
        if name not in LOGGERS:
            raise UserError(
                f"loggers names {name}; there are {', '.join(LOGGERS)}."
                f"{did_you_mean(name, LOGGERS)}",
                key="loggers",
            )
    guard = Guard(**training.config.values["guard"])
    if guard.policy == "rollback" and training.optimization.choice.entry is MODULE:
        raise UserError(
            "guard.policy rollback is not supported with the module's own optimizers: it cannot "
            "lower their learning rate.\n"
            "Use stop or skip, or name an optimizer, such as --optimizer adamw."
        )
    monitor = Monitor(**training.config.values["monitor"])
    if monitor.curvature and training.config.values["compile"]:
        raise UserError(
            "monitor.curvature can't be measured of a compiled net: leave one of them out.",
            key="monitor.curvature",
        )
    Checkpoints(Path(), Stops(), **training.config.values["checkpoint"])
    accumulate = training.config.values["trainer"].get("accumulate_grad_batches") or 1
    if isinstance(training.data, DataModule) and training.data.pieces > 1 and accumulate > 1:
        raise UserError(
            "trainer.accumulate_grad_batches and data.micro_batch_size both accumulate.\n"
            "Set data.batch_size to the whole batch and leave the first out.",
            key="trainer.accumulate_grad_batches",
        )
    extra = build_callbacks(training.config.values["callbacks"])
    _check_callbacks(extra, training.optimization.choice)
    trainer = lightning_trainer(training, logger=False, callbacks=[], enable_checkpointing=False)
    training.optimization.check_trainer(trainer)
    if "closure" in training.optimization.choice.needs and trainer.precision == "16-mixed":
        raise UserError(
            f"The optimizer {training.optimization.choice.entry.name} evaluates the loss several "
            "times a step, which scaled float16 gradients do not allow.\n"
            "Write trainer.precision: bf16-mixed or 32-true.",
            key="trainer.precision",
        )


def _check_callbacks(callbacks: Sequence[L.Callback], choice: Choice) -> None:
    name = choice.entry.name
    for callback in callbacks:
        if isinstance(callback, WeightAveraging) and "modes" in choice.needs:
            raise UserError(
                f"callbacks: {name} averages its weights itself; leave the weight averaging out.",
                key="callbacks",
            )
        if isinstance(callback, LearningRateMonitor) and choice.value("lr") is None:
            raise UserError(
                f"callbacks: {name} has no learning rate; leave the learning-rate-monitor out.",
                key="callbacks",
            )


def first_rank() -> bool:
    """Whether this is the first of the processes that train, as far as the environment tells."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return not getattr(rank_zero_only, "rank", 0)


def build(
    training: Training,
    run: Run,
    stops: Stops,
    start: Callable[[L.Trainer], None] = lambda trainer: None,
) -> L.Trainer:
    """Return the Trainer that writes to a run's folder.

    Args:
        training: What is trained.
        run: The folder.
        stops: Reasons to stop.
        start: Called when the first step is about to be made.
    """
    config, folder = training.config, run.folder
    watch = Watch(**config.values["watch"])
    watch.optimization = training.optimization
    guard = Guard(**config.values["guard"])
    guard.folder, guard.rollbacks = folder, training.rollbacks
    options = config.values["trainer"]
    watch.each_epoch = options.get("log_every_n_steps") is None
    callbacks: list[L.Callback] = []
    fast = config.values["profile"] == "fast"
    if isinstance(training.module, Task):
        training.module.shows_training = not fast
    if not fast or config.values["loggers"]:
        callbacks.append(watch)
    if guard.policy != "off" and training.module.automatic_optimization:
        training.optimization.guard = guard
        callbacks.append(guard)
    monitor = Monitor(**config.values["monitor"])
    if monitor.every != 0:
        monitor.folder, monitor.optimization = folder, training.optimization
        callbacks += [monitor, Verdicts(monitor)]
    if monitor.curvature:
        from gdlightning.callbacks.sharpness import Sharpness

        callbacks.append(Sharpness(monitor))
    callbacks.append(StartLine(str(config.values["model"]["name"])))
    callbacks += [stops, RunMetadata(record(training))]
    if config.values["compile"]:
        from gdlightning.callbacks.compiled import Compiled

        callbacks.append(Compiled())
    if options.get("enable_progress_bar") is not False and not config.values["quiet"]:
        callbacks.append(Progress())
    callbacks += build_callbacks(config.values["callbacks"])
    checkpoints = Checkpoints(folder / "checkpoints", stops, **config.values["checkpoint"])
    if config.values["patience"] is not None:
        callbacks.append(Patience(checkpoints, config.values["patience"]))
    if options.get("enable_checkpointing") is not False and not options.get("fast_dev_run"):
        checkpoints.start = start
        callbacks.insert(0, Restore(checkpoints))
        callbacks.append(checkpoints)
    else:
        callbacks.append(StopsUnsaved(stops))
        callbacks.insert(0, LambdaCallback(on_train_start=lambda trainer, module: start(trainer)))
    for owner in (training.module, training.data):
        if owner is not None and internals.private_names():
            make_resumable(owner)
    trainer = lightning_trainer(
        training,
        logger=_loggers(training, folder),
        callbacks=callbacks,
        plugins=[PlainCheckpoints()],
        enable_autolog_hparams=False,  # RunStart logs them
    )
    EpochLoop.install(trainer)
    if trainer.precision == "64-true":  # before weights are loaded, which must keep their bits
        trainer.precision_plugin.convert_module(training.module)
    return trainer


def hyper_parameters(training: Training) -> dict[str, Any]:
    """Return the config and the module's own hyper-parameters, by name, for the loggers."""
    given = getattr(training.module, "hparams_initial", {})
    wanted = training.config.values["trainer"].get("enable_autolog_hparams") is not False
    return (_flat(dict(given)) if wanted else {}) | _flat(training.config.values)


def record(training: Training) -> dict[str, Any]:
    """What is known of a run, for its checkpoints."""
    data = training.data if isinstance(training.data, DataModule) else None
    return {
        "format": FORMAT,
        "config": plain(training.config.values),
        "sizes": data.sizes() if data else {},
        "fitted": data.fitted if data else {},
        "examples": {k: len(rows) for k, rows in data.rows.items()} if data else {},
        "environment": {
            "torch": str(torch.__version__),
            "lightning": version("lightning"),
            "threads": torch.get_num_threads(),
            "processes": lightning_trainer(training, logger=False, callbacks=[]).world_size,
        },
    }


def log_final(trainer: L.Trainer, training: Training, metrics: dict[str, float]) -> None:
    """Hyper-parameters with the final metrics, for TensorBoard's HParams tab."""
    from torch.utils.tensorboard.summary import hparams

    flat = _flat(training.config.values)
    for logger in trainer.loggers:
        logger.log_hyperparams(flat)
        if isinstance(logger, TensorBoardLogger):  # the values themselves are logged already
            for summary in hparams(flat, metrics):
                internals.file_writer(logger.experiment).add_summary(summary)
        logger.finalize("success")


def lightning_trainer(training: Training, **more: Any) -> L.Trainer:
    """Return a Trainer with the options of the config, and ``more`` that replace them.

    Raises:
        UserError: if Lightning does not support the options.
    """
    options = dict(training.config.values["trainer"])
    if isinstance(training.data, DataModule) and training.data.pieces > 1:
        options["accumulate_grad_batches"] = training.data.pieces
    if isinstance(training.data, DataModule) and not len(training.data.rows.get("val", ())):
        options["limit_val_batches"] = 0
    if isinstance(options.get("val_check_interval"), int):
        # Counted over the whole training: Lightning refuses more than an epoch's batches otherwise.
        options["check_val_every_n_epoch"] = None
    options.setdefault("enable_model_summary", None)
    if options["enable_model_summary"] is None:
        options["enable_model_summary"] = False
    try:
        return L.Trainer(**(options | more))
    except Exception as error:  # Lightning's MisconfigurationException derives from Exception alone
        raise trainer_error(error, training.config.given) from error


def _loggers(training: Training, folder: Path) -> list[Logger]:
    place: dict[str, Any] = {"save_dir": folder.parent, "name": "", "version": folder.name}
    made: list[Logger] = []
    for name in training.config.values["loggers"]:
        if name == "tensorboard":
            made.append(BoardLogger(**place, default_hp_metric=False))
        elif name == "csv":
            made.append(KeptCSVLogger(**place))
        else:
            made.append(_remote(name, folder))
    return made


def _remote(name: str, folder: Path) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger, WandbLogger

    try:
        if name == "wandb":
            return WandbLogger(project=folder.parent.name, name=folder.name, save_dir=folder)
        # MLflow's own choice, files, is no longer kept by it; a server is told by its variable.
        local = f"sqlite:///{folder.parent.parent / 'mlflow.db'}"
        return MLFlowLogger(
            experiment_name=folder.parent.name,
            run_name=folder.name,
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", local),
        )
    except ModuleNotFoundError as error:
        raise UserError(
            f"loggers: {name} is not installed. Install it with: pip install 'gdlightning[{name}]'",
            key="loggers",
        ) from error
    except Exception as error:  # of the library itself: no server, no login
        first = str(error).strip().split("\n")[0]
        raise UserError(f"loggers: {name} can't be used: {first}", key="loggers") from error


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            plain = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{key}"] = value if plain else str(value)
    return flat
