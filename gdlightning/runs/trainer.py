"""The Lightning Trainer of a run, with its callbacks, checkpoints and loggers."""

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
from lightning.pytorch.loggers.logger import DummyLogger

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
from gdlightning.runs.run_folder import plain
from gdlightning.storage.checkpoint_file import FORMAT
from gdlightning.storage.checkpoint_plugin import PlainCheckpointIO
from gdlightning.storage.logs import ResumableCSVLogger, ThrottledTensorBoardLogger
from gdlightning.tasks.task import Task

LOGGERS = ("tensorboard", "csv", "wandb", "mlflow")


def build(training: Training, stops: Stops) -> L.Trainer:
    """Check the settings of the Trainer, its callbacks and loggers, and return the Trainer.

    Nothing is written: ``attach_run`` sets the run folder.

    Args:
        training: the run's module, data and optimization.
        stops: reasons to stop.

    Raises:
        UserError: if a logger is unknown, or settings contradict each other.
    """
    _check_settings(training)
    config, optimization = training.config, training.optimization
    options = config.values["trainer"]
    guard, monitor = Guard(**config.values["guard"]), Monitor(**config.values["monitor"])
    guard.rollbacks = training.rollbacks
    checkpoints = Checkpoints(Path(), stops, **config.values["checkpoint"])
    extra = build_callbacks(config.values["callbacks"])
    _check_callbacks(extra, optimization.choice)
    watch = Watch(**config.values["watch"])
    watch.optimization = optimization
    watch.each_epoch = options.get("log_every_n_steps") is None
    callbacks: list[L.Callback] = []
    fast = config.values["profile"] == "fast"
    if isinstance(training.module, Task):
        training.module.shows_training = not fast
    if not fast or config.values["loggers"]:
        callbacks.append(watch)
    if guard.policy != "off" and training.module.automatic_optimization:
        optimization.guard = guard
        callbacks.append(guard)
    if monitor.every != 0:
        monitor.optimization = optimization
        callbacks += [monitor, Verdicts(monitor)]
    if monitor.curvature:
        from gdlightning.callbacks.sharpness import Sharpness

        callbacks.append(Sharpness(monitor))
    callbacks.append(StartLine(str(config.values["model"]["name"])))
    metadata = RunMetadata()
    callbacks += [stops, metadata]
    if config.values["compile"]:
        from gdlightning.callbacks.compiled import Compiled

        callbacks.append(Compiled())
    if options.get("enable_progress_bar") is not False and not config.values["quiet"]:
        callbacks.append(Progress())
    callbacks += extra
    if config.values["patience"] is not None:
        callbacks.append(Patience(checkpoints, config.values["patience"]))
    if options.get("enable_checkpointing") is not False and not options.get("fast_dev_run"):
        callbacks = [Restore(checkpoints), *callbacks, checkpoints]
    else:
        callbacks.append(StopsUnsaved(stops))
    trainer = _trainer(training, callbacks)
    metadata.content = record(training, trainer)
    optimization.check_trainer(trainer)
    if "closure" in optimization.choice.needs and trainer.precision == "16-mixed":
        raise UserError(
            f"The optimizer {optimization.choice.entry.name} evaluates the loss several times per "
            "step, which is not supported with scaled float16 gradients.\n"
            "Set trainer.precision to bf16-mixed or 32-true.",
            key="trainer.precision",
        )
    EpochLoop.install(trainer)
    for owner in (training.module, training.data):
        if owner is not None and internals.private_names():
            make_resumable(owner)
    if trainer.precision == "64-true":  # before weights are loaded, which must keep their bits
        trainer.precision_plugin.convert_module(training.module)
    return trainer


def attach_run(
    trainer: L.Trainer,
    training: Training,
    folder: Path,
    start: Callable[[L.Trainer], None] = lambda trainer: None,
) -> None:
    """Let a Trainer write logs, checkpoints and measurements to a run folder.

    Args:
        trainer: the return value of ``build``.
        training: the run's module, data and optimization.
        folder: the run folder.
        start: called with the Trainer just before the first step.

    Raises:
        UserError: if a logger cannot be created.
    """
    if not trainer.fast_dev_run:  # type: ignore[attr-defined]
        trainer.loggers = _loggers(training, folder)
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    saves = False
    for callback in callbacks:
        if isinstance(callback, Guard | Monitor):
            callback.folder = folder
        elif isinstance(callback, Checkpoints):
            callback.folder, callback.start, saves = folder / "checkpoints", start, True
    if not saves:
        callbacks.insert(0, LambdaCallback(on_train_start=lambda trainer, module: start(trainer)))


def _check_settings(training: Training) -> None:
    """Check settings of the run that depend on each other.

    Raises:
        UserError: if a logger is unknown, or settings contradict each other.
    """
    values = training.config.values
    for name in values["loggers"]:
        if name not in LOGGERS:
            raise UserError(
                f"There is no logger {name}.{did_you_mean(name, LOGGERS)}\n"
                f"Available loggers: {', '.join(LOGGERS)}.",
                key="loggers",
            )
    if values["guard"]["policy"] == "rollback" and training.optimization.choice.entry is MODULE:
        raise UserError(
            "guard.policy rollback is not supported with the module's own optimizers, because it "
            "cannot lower their learning rate.\n"
            "Use stop or skip, or name an optimizer, such as --optimizer adamw."
        )
    if values["monitor"]["curvature"] and values["compile"]:
        raise UserError(
            "monitor.curvature is not supported for a compiled model. Disable monitor.curvature or "
            "compile.",
            key="monitor.curvature",
        )
    accumulate = values["trainer"].get("accumulate_grad_batches") or 1
    if isinstance(training.data, DataModule) and training.data.pieces > 1 and accumulate > 1:
        raise UserError(
            "trainer.accumulate_grad_batches and data.micro_batch_size both accumulate gradients.\n"
            "Set data.batch_size to the effective batch size, and remove "
            "trainer.accumulate_grad_batches.",
            key="trainer.accumulate_grad_batches",
        )


def _check_callbacks(callbacks: Sequence[L.Callback], choice: Choice) -> None:
    """Check that callbacks are compatible with the optimizer.

    Raises:
        UserError: if one of them is not.
    """
    name = choice.entry.name
    for callback in callbacks:
        if isinstance(callback, WeightAveraging) and "modes" in choice.needs:
            raise UserError(
                f"callbacks: {name} already averages its weights. Remove the weight averaging.",
                key="callbacks",
            )
        if isinstance(callback, LearningRateMonitor) and choice.value("lr") is None:
            raise UserError(
                f"callbacks: {name} has no learning rate. Remove the learning-rate-monitor.",
                key="callbacks",
            )


def first_rank() -> bool:
    """Return whether this is the first training process, according to the environment."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return not getattr(rank_zero_only, "rank", 0)


def hyper_parameters(training: Training) -> dict[str, Any]:
    """Return the config and the module's hyperparameters, by name, for the loggers."""
    given = getattr(training.module, "hparams_initial", {})
    wanted = training.config.values["trainer"].get("enable_autolog_hparams") is not False
    return (_flat(dict(given)) if wanted else {}) | _flat(training.config.values)


def record(training: Training, trainer: L.Trainer) -> dict[str, Any]:
    """Return the metadata of a run that its checkpoints contain."""
    data = training.data if isinstance(training.data, DataModule) else None
    return {
        "format": FORMAT,
        "config": plain(training.config.values),
        "sizes": training.sizes,
        "fitted": data.fitted if data else {},
        "examples": {k: len(rows) for k, rows in data.rows.items()} if data else {},
        "environment": {
            "torch": str(torch.__version__),
            "lightning": version("lightning"),
            "threads": torch.get_num_threads(),
            "processes": trainer.world_size,
        },
    }


def log_final(trainer: L.Trainer, training: Training, metrics: dict[str, float]) -> None:
    """Log hyperparameters with the final metrics, for TensorBoard's HParams tab."""
    from torch.utils.tensorboard.summary import hparams

    flat = _flat(training.config.values)
    for logger in trainer.loggers:
        logger.log_hyperparams(flat)
        if isinstance(logger, TensorBoardLogger):  # the values themselves are logged already
            for summary in hparams(flat, metrics):
                internals.file_writer(logger.experiment).add_summary(summary)
        logger.finalize("success")


def _trainer(training: Training, callbacks: list[L.Callback]) -> L.Trainer:
    """Return a Trainer with the options of the config.

    Raises:
        UserError: if Lightning does not accept them.
    """
    options = dict(training.config.values["trainer"])
    if isinstance(training.data, DataModule) and training.data.pieces > 1:
        options["accumulate_grad_batches"] = training.data.pieces
    if isinstance(training.data, DataModule) and not len(training.data.rows.get("val", ())):
        options["limit_val_batches"] = 0
    if isinstance(options.get("val_check_interval"), int):
        # Count batches over the whole run: an interval may be longer than an epoch.
        options["check_val_every_n_epoch"] = None
    options.setdefault("enable_model_summary", None)
    if options["enable_model_summary"] is None:
        options["enable_model_summary"] = False
    # Lightning's fast_dev_run suppresses loggers only if there are some; attach_run replaces it.
    logger = [DummyLogger()] if training.config.values["loggers"] else False
    fixed: dict[str, Any] = {
        "logger": logger,
        "callbacks": callbacks,
        "plugins": [PlainCheckpointIO()],
        "enable_autolog_hparams": False,  # RunStart logs them
    }
    try:
        return L.Trainer(**(options | fixed))
    except Exception as error:  # Lightning's MisconfigurationException derives from Exception alone
        raise trainer_error(error, training.config.given) from error


def _loggers(training: Training, folder: Path) -> list[Logger]:
    place: dict[str, Any] = {"save_dir": folder.parent, "name": "", "version": folder.name}
    made: list[Logger] = []
    for name in training.config.values["loggers"]:
        if name == "tensorboard":
            made.append(ThrottledTensorBoardLogger(**place, default_hp_metric=False))
        elif name == "csv":
            made.append(ResumableCSVLogger(**place))
        else:
            made.append(_remote(name, folder))
    return made


def _remote(name: str, folder: Path) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger, WandbLogger

    try:
        if name == "wandb":
            return WandbLogger(project=folder.parent.name, name=folder.name, save_dir=folder)
        # MLflow has deprecated its default, a folder of files. Its variable may name a server.
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
    except Exception as error:  # raised by the library: no server, no login
        first = str(error).strip().split("\n")[0]
        raise UserError(f"loggers: {name} cannot be used: {first}", key="loggers") from error


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            plain = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{key}"] = value if plain else str(value)
    return flat
