"""Reasons to stop a run early: signals, a time limit, a number of steps."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as L
import torch

from gdlightning import internals
from gdlightning.engine.eval_weights import fitting
from gdlightning.errors import UserError
from gdlightning.signals import SIGNALS, Phase, Stopped, stop_signals

__all__ = ["Stopped", "Stops", "StopsUnsaved", "seconds_of"]

REASONS = ["", "stop_after", "max_time", *SIGNALS]
"""Reasons by priority; if processes have different ones, the last of them is used."""


class Stops(L.Callback):
    """Reasons to stop a run, which are checked wherever it can be saved and resumed.

    Signals are handled by ``gdlightning.signals``. A signal that arrives before the first check
    raises ``Stopped`` immediately, because there is nothing to save yet. With several processes, it
    is recorded instead, and all of them stop at the first check.

    Args:
        seconds: time limit in seconds; None for no limit.
        steps: maximum number of optimizer steps of this process; None for no limit.

    Attributes:
        begun: whether a step may have been made.
    """

    def __init__(self, seconds: float | None = None, steps: int | None = None) -> None:
        self.seconds, self.steps, self.begun = seconds, steps, False
        self._start_time = time.monotonic()
        self._start_step: int | None = None
        self._steps_made = 0
        self._is_distributed = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Defer signals if there are other processes, so that all of them stop together."""
        self._is_distributed = trainer.world_size > 1
        if self._is_distributed and stop_signals.phase is Phase.ABORTABLE:
            stop_signals.enter(Phase.DEFERRED)

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reinstall the signal handlers, which Lightning has replaced."""
        self._reinstall_handlers(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reinstall the signal handlers, and start to count steps."""
        self._reinstall_handlers(trainer)
        self._start_step = trainer.global_step - self._steps_made  # also those before a rollback

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reinstall the signal handlers."""
        self._reinstall_handlers(trainer)

    def _reinstall_handlers(self, trainer: L.Trainer) -> None:
        """Replace Lightning's handlers, which end a run on SIGTERM without a checkpoint."""
        stop_signals.install()
        internals.clear_sigterm(trainer)

    @contextlib.contextmanager
    def training(self, trainer: L.Trainer) -> Iterator[None]:
        """Return a context for ``Trainer.fit``, after which signals stop immediately again.

        Raises:
            Stopped: if a signal arrived after the last step, or also ended another process of the
                run, such as a loader worker. The run can be resumed from the last checkpoint.
        """
        launcher = trainer.strategy.launcher
        if launcher is not None:
            stop_signals.cleanups.append(lambda: launcher.kill(signal.SIGKILL))
        try:
            yield
        except (RuntimeError, ConnectionError, EOFError) as error:
            if stop_signals.name is not None:
                raise Stopped(stop_signals.name) from error
            raise
        finally:
            stop_signals.enter(Phase.DEFERRED)
        if not self._is_distributed:
            stop_signals.enter(Phase.ABORTABLE)

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Return a context for marking a run as finished, after which signals are ignored."""
        stop_signals.enter(Phase.DEFERRED)
        yield
        stop_signals.enter(Phase.FINISHED)

    def reason(self, trainer: L.Trainer) -> str | None:
        """Return the reason to stop now, the same on all ranks; None to continue."""
        if fitting(trainer) and stop_signals.phase is not Phase.TRAINING:
            stop_signals.enter(Phase.TRAINING)
            self.begun = True
        own = stop_signals.name or self._limit(trainer) or ""
        if trainer.world_size > 1:
            number = torch.tensor(REASONS.index(own), device=trainer.strategy.root_device)
            torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
            own = REASONS[int(number)]
        return own or None

    def _limit(self, trainer: L.Trainer) -> str | None:
        """Return the limit that has been reached, or None."""
        if self.seconds is not None and time.monotonic() - self._start_time > self.seconds:
            return "max_time"
        if self.steps is not None and self._start_step is not None and fitting(trainer):
            self._steps_made = trainer.global_step - self._start_step
            return "stop_after" if self._steps_made >= self.steps else None
        return None

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """End the sanity check on a stop, so that the run is saved when training starts.

        Raises:
            StopIteration: if a stop was requested. Lightning then ends the validation.
        """
        if trainer.sanity_checking and self.reason(trainer) is not None:
            raise StopIteration

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop without saving, since the checkpoint of the run is complete.

        Raises:
            Stopped: if a stop was requested.
        """
        reason = self.reason(trainer)
        if reason is not None:
            raise Stopped(reason)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Make all processes exit together: launchers kill the others once one has exited."""
        if trainer.world_size == 1:
            return
        if stop_signals.ending:
            stop_signals.end()
        if isinstance(exception, Stopped):  # raised by all processes
            try:
                trainer.strategy.checkpoint_io.teardown()  # waits for the checkpoint
            finally:
                trainer.strategy.barrier("stopped")


class StopsUnsaved(L.Callback):
    """Stops between two batches without saving, for runs without checkpoints.

    Args:
        stops: reasons to stop.
    """

    def __init__(self, stops: Stops) -> None:
        self.stops = stops

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop before the batch, if a stop was requested.

        Raises:
            Stopped: if a stop was requested.
        """
        reason = self.stops.reason(trainer)
        if reason is not None:
            raise Stopped(reason, saved=False)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop during a validation, if a stop was requested.

        Raises:
            Stopped: if a stop was requested.
        """
        if fitting(trainer):
            self.on_train_batch_start(trainer, pl_module, batch, batch_idx)


SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(given: str | float | None) -> float | None:
    """Return a time limit in seconds.

    Args:
        given: limit such as ``90s``, ``30m``, ``2h``, ``1d``, ``1h30m`` or ``00:30:00``, or a
            number of seconds.

    Raises:
        UserError: if it has another form.
    """
    if given is None:
        return None
    text = str(given).strip().lower()
    clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+):(\d+)", text)
    if clock:
        days, *rest = (int(part or 0) for part in clock.groups())
        return float(days * 86400 + rest[0] * 3600 + rest[1] * 60 + rest[2])
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
        return sum(float(amount) * SECONDS_PER_UNIT[unit] for amount, unit in parts)
    raise UserError(
        "max_time must be a duration, such as 90s, 30m, 2h, 1h30m or 01:30:00",
        key="max_time",
        value=given,
    )
