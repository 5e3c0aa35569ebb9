"""Private names of Lightning and torchmetrics: the only module that uses them.

Private names can change in any release. They are used with the versions in ``TESTED``, if every
name in ``NAMES`` exists; otherwise ``private_names`` is false, a line on stderr says so, and public
functions of Lightning run instead. The results of training are the same. The differences:

- Lightning's own loop over batches runs, which is slower for small nets.
- Checkpoints are written at the end of a batch, not between two batches. The loader, the process's
  random state, frozen parameters and Lightning's own state are restored. Means of
  ``self.log(on_epoch=True)`` and metrics of an epoch in progress are not: after a resume, they
  cover the rest of the epoch. The position in third-party loaders is left to Lightning.
- A stop during a validation takes effect after the next batch.

Set the environment variable ``GDL_PUBLIC_NAMES=1`` to run this way with any version.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

import lightning.pytorch as L
from torch import Tensor, nn
from torchmetrics import Metric

TESTED = {"lightning": ("2.6.0", "2.6.6"), "torchmetrics": ("1.8.0", "1.9.0")}
"""Oldest and newest tested version of each package; those between them count as tested."""
PUBLIC = "GDL_PUBLIC_NAMES"
"""Environment variable that disables private names."""

_LOOPS = "lightning.pytorch.loops"
NAMES: dict[str, tuple[str, ...]] = {
    # The loop over batches; ``_should_*`` decide on validation and accumulation,
    # ``_num_ready_batches_reached`` and ``_is_training_done`` detect the end.
    f"{_LOOPS}.training_epoch_loop._TrainingEpochLoop": (
        "_is_training_done",
        "_num_ready_batches_reached",
        "_should_accumulate",
        "_should_check_val_epoch",
        "_should_check_val_fx",
    ),
    f"{_LOOPS}.fit_loop._FitLoop": (),  # the loop over epochs
    f"{_LOOPS}.evaluation_loop._EvaluationLoop": (),  # the validation
    # The cycle over several loaders, of which a single one is iterated directly.
    "lightning.pytorch.utilities.combined_loader._MaxSizeCycle": (),
    # Writes logged values to callbacks and loggers.
    "lightning.pytorch.trainer.connectors.logger_connector.logger_connector._LoggerConnector": (
        "on_batch_end",
        "update_train_step_metrics",
    ),
    # Creates the content of a checkpoint without writing it.
    "lightning.pytorch.trainer.connectors.checkpoint_connector._CheckpointConnector": (
        "dump_checkpoint",
    ),
    # Calls the batch transfer hooks of the data module.
    "lightning.pytorch.LightningModule": ("_on_before_batch_transfer",),
    "lightning.pytorch.callbacks.WeightAveraging": ("_swap_models",),  # weights and their average
}
"""Class → private attributes that must exist. Instance attributes are checked by the tests."""


@functools.cache
def private_names() -> bool:
    """Return whether private names are used; if not, print the reason once."""
    reason = _reason()
    if reason:
        print(
            f"Note: {reason}. Lightning's own loop and checkpoints are used: small nets train more "
            "slowly, and a resume in the middle of an epoch may not be bit-identical.",
            file=sys.stderr,
        )
    return not reason


def _reason() -> str:
    if os.environ.get(PUBLIC):
        return f"{PUBLIC} is set"
    for package, (oldest, newest) in TESTED.items():
        found = version(package)
        if not _release(oldest) <= _release(found) <= _release(newest):
            return f"{package} {found} is not tested (tested: {oldest} to {newest})"
    for path, attributes in NAMES.items():
        module, _, name = path.rpartition(".")
        try:
            owner: Any = getattr(import_module(module), name)
        except (ImportError, AttributeError):
            return f"this version of Lightning has no {path}"
        for attribute in attributes:
            if not hasattr(owner, attribute):
                return f"this version of Lightning has no {path}.{attribute}"
    return ""


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".")[:3] if part.isdigit())


# Base classes of gdlightning's loops


def _base(module: str, name: str) -> Any:
    """Return a private class, or ``object`` if it is gone; then nothing uses its subclass."""
    try:
        return getattr(import_module(f"{_LOOPS}.{module}"), name)
    except (ImportError, AttributeError):
        return object


TrainingEpochLoop = _base("training_epoch_loop", "_TrainingEpochLoop")
FitLoop = _base("fit_loop", "_FitLoop")
EvaluationLoop = _base("evaluation_loop", "_EvaluationLoop")


# Training loop


def epoch_loop(trainer: L.Trainer) -> Any:
    """Return the loop over batches."""
    return trainer.fit_loop.epoch_loop


def accumulates(trainer: L.Trainer) -> bool:
    """Return whether the current batch is not the last one of its optimizer step."""
    return bool(epoch_loop(trainer)._should_accumulate())


def epoch_is_over(trainer: L.Trainer) -> bool:
    """Return whether all batches of the epoch have been started."""
    return bool(epoch_loop(trainer)._num_ready_batches_reached())


def validates_now(trainer: L.Trainer) -> bool:
    """Return whether a validation follows the current batch."""
    return bool(epoch_loop(trainer)._should_check_val_fx(data_fetcher(trainer)))


def validates_at_intervals_of_time(trainer: L.Trainer) -> bool:
    """Return whether validations follow a clock (``val_check_interval`` as a duration)."""
    return getattr(trainer, "_val_check_time_interval", None) is not None


def validates_this_epoch(trainer: L.Trainer) -> bool:
    """Return whether the current epoch has a validation."""
    return bool(epoch_loop(trainer)._should_check_val_epoch())


def uncount_logged_step(loops: dict[str, Any]) -> None:
    """Subtract one from the steps that loggers count, in the state of the loops."""
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1


def set_hook(module: L.LightningModule, name: str | None) -> None:
    """Set the hook that ``self.log`` is called in."""
    vars(module)["_current_fx_name"] = name


def begin_batch(trainer: L.Trainer, batch: Any) -> None:
    """Prepare logging for a batch, as Lightning's loop does."""
    connector: Any = trainer._logger_connector
    connector._first_loop_iter = connector._first_loop_iter is None
    found = results(trainer)
    found.batch, found.batch_size, found.dataloader_idx = batch, None, None


def logger_connector(trainer: L.Trainer) -> Any:
    """Return the object that passes logged values to callbacks and loggers."""
    return trainer._logger_connector


def before_transfer(trainer: L.Trainer, batch: Any) -> Any:
    """Call the hook that changes a batch before it is moved to the device."""
    return trainer.lightning_module._on_before_batch_transfer(batch, dataloader_idx=0)


# Loaders


def combined_loader(trainer: L.Trainer) -> Any:
    """Return the container of the training loaders; None before training."""
    return getattr(trainer.fit_loop, "_combined_loader", None)


def data_fetcher(trainer: L.Trainer) -> Any:
    """Return the object that takes batches from the training loaders."""
    return trainer.fit_loop._data_fetcher


def reload_epoch(trainer: L.Trainer) -> Any:
    """Return the epoch in which the training loaders were created last."""
    return trainer.fit_loop._last_train_dl_reload_epoch


def set_reload_epoch(trainer: L.Trainer, epoch: Any) -> None:
    """Set the epoch in which the training loaders were created last."""
    trainer.fit_loop._last_train_dl_reload_epoch = epoch


def single_iterator(trainer: L.Trainer) -> Iterator[Any] | None:
    """Return the iterator of the only training loader; None if several loaders are combined."""
    from lightning.pytorch.utilities.combined_loader import _MaxSizeCycle

    fetcher = data_fetcher(trainer)
    cycle = getattr(getattr(fetcher, "iterator", None), "_iterator", None)
    iterators: list[Iterator[Any]] = getattr(cycle, "iterators", [])
    alone = type(cycle) is _MaxSizeCycle and len(iterators) == 1 and fetcher.length is not None
    return iterators[0] if alone else None


def combined_mode(loader: Any) -> str:
    """Return how a ``CombinedLoader`` combines its loaders."""
    return str(getattr(loader, "_mode", "max_size_cycle"))


# Logged values and metrics


def results(trainer: L.Trainer) -> Any:
    """Return the values that were logged in this epoch, by hook and name."""
    return epoch_loop(trainer)._results


def step_value(result: Any) -> Tensor | None:
    """Return the value that was logged in the last step."""
    found: Tensor | None = result._forward_cache
    return found


def set_step_value(result: Any, value: Tensor) -> None:
    """Set the value that was logged in the last step."""
    result._forward_cache = value


def update_count(metric: Metric) -> int:
    """Return the number of updates of a metric."""
    return int(metric._update_count)


def state_names(metric: Metric) -> list[str]:
    """Return the names of the states of a metric."""
    return list(metric._defaults)


def set_update_count(metric: Metric, count: int) -> None:
    """Set the number of updates of a metric, and drop its cached result."""
    metric._update_count, metric._computed = count, None


# Checkpoints, weight averages, signals


def checkpoint_content(trainer: L.Trainer) -> dict[str, Any]:
    """Return the content of a checkpoint, without writing it."""
    found: dict[str, Any] = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    return found


def swap_average(callback: Any, module: L.LightningModule) -> None:
    """Exchange the weights and their average, if there is one yet."""
    if getattr(callback, "_average_model", None) is not None:
        callback._swap_models(module)


def clear_sigterm(trainer: L.Trainer) -> None:
    """Withdraw the stop that Lightning's own handler of SIGTERM would have requested."""
    connector = getattr(trainer, "_signal_connector", None)
    if connector is not None:
        connector.received_sigterm = False


# torch: the default is the public behavior, so these names need no tested version


def skips_steps_on_device(optimizer: Any) -> bool:
    """Return whether a fused optimizer accepts ``found_inf`` to skip a step on the device."""
    supports = bool(getattr(optimizer, "_step_supports_amp_scaling", False))
    return supports and not hasattr(optimizer.step, "_torchdynamo_orig_callable")


def is_compiled(module: nn.Module) -> bool:
    """Return whether the module or a submodule was compiled in place."""
    return any(getattr(m, "_compiled_call_impl", None) is not None for m in module.modules())


def file_writer(writer: Any) -> Any:
    """Return the file writer of a TensorBoard ``SummaryWriter``, for summaries made elsewhere."""
    return writer._get_file_writer()
