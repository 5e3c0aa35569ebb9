"""Reasons to stop before the end: signals, a time limit, a number of steps."""

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
"""Of several, those that different processes have, the last counts."""


class Stops(L.Callback):
    """Knows why to stop; who can save asks for the reason at each place where a run can resume.

    The handlers of the signals are those of ``gdlightning.signals``: a signal that arrives before
    the first question raises ``Stopped`` at once, because there is nothing to save yet. With
    several processes it is noted instead, and all of them stop at the first question.

    Args:
        seconds: time after which it stops; no limit if None.
        steps: optimizer steps of this process after which it stops; no limit if None.

    Attributes:
        begun: whether a step may have been made.
    """

    def __init__(self, seconds: float | None = None, steps: int | None = None) -> None:
        self.seconds, self.steps, self.begun = seconds, steps, False
        self._start_time = time.monotonic()
        self._start_step: int | None = None
        self._made = 0
        self._several = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Have the other processes, which have all been started now, take part in a stop."""
        self._several = trainer.world_size > 1
        if self._several and stop_signals.phase is Phase.ABORTABLE:
            stop_signals.enter(Phase.DEFERRED)

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take back the signals that Lightning has just taken."""
        self._take_back(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same where there is no sanity check; count steps from here."""
        self._take_back(trainer)
        self._start_step = trainer.global_step - self._made  # some were made before a rollback

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same for a test."""
        self._take_back(trainer)

    def _take_back(self, trainer: L.Trainer) -> None:
        """Lightning would end training on SIGTERM without a save, with exit code 0."""
        stop_signals.install()
        internals.clear_sigterm(trainer)

    @contextlib.contextmanager
    def training(self, trainer: L.Trainer) -> Iterator[None]:
        """Around ``Trainer.fit``: afterwards all is saved, and a signal stops at once again.

        Raises:
            Stopped: a signal arrived after the last step, or has also ended a process that takes
                part, such as a worker of a loader; then the last checkpoint is the newest state.
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
        if not self._several:
            stop_signals.enter(Phase.ABORTABLE)

    @contextlib.contextmanager
    def finishing(self) -> Iterator[None]:
        """Around the file that marks a run as finished: afterwards signals are ignored."""
        stop_signals.enter(Phase.DEFERRED)
        yield
        stop_signals.enter(Phase.FINISHED)

    def reason(self, trainer: L.Trainer) -> str | None:
        """Return why to stop now, the same on all ranks; None to continue."""
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
        """Return which limit is reached, if any."""
        if self.seconds is not None and time.monotonic() - self._start_time > self.seconds:
            return "max_time"
        if self.steps is not None and self._start_step is not None and fitting(trainer):
            self._made = trainer.global_step - self._start_step
            return "stop_after" if self._made >= self.steps else None
        return None

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Cut the sanity check short, so that training begins, and is saved and stopped.

        Raises:
            StopIteration: a stop was asked for; Lightning then ends the validation.
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
        """The training before a test is saved already.

        Raises:
            Stopped: a stop was asked for.
        """
        reason = self.reason(trainer)
        if reason is not None:
            raise Stopped(reason)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Let several processes end together: launchers kill the others when one has ended."""
        if trainer.world_size == 1:
            return
        if stop_signals.ending:
            stop_signals.end()
        if isinstance(exception, Stopped):  # all have the same reason
            try:
                trainer.strategy.checkpoint_io.teardown()  # waits for the checkpoint
            finally:
                trainer.strategy.barrier("stopped")


class StopsUnsaved(L.Callback):
    """Stops between two batches where nothing is saved, because checkpoints are switched off.

    Args:
        stops: reasons to stop.
    """

    def __init__(self, stops: Stops) -> None:
        self.stops = stops

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop, if that was asked for.

        Raises:
            Stopped: a stop was asked for.
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
        """The same within a validation.

        Raises:
            Stopped: a stop was asked for.
        """
        if fitting(trainer):
            self.on_train_batch_start(trainer, pl_module, batch, batch_idx)


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(given: str | float | None) -> float | None:
    """Seconds of a limit such as ``90s``, ``30m``, ``2h``, ``1d``, ``1h30m`` or ``00:30:00``.

    Raises:
        UserError: it can't be read.
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
        return sum(float(amount) * UNITS[unit] for amount, unit in parts)
    raise UserError(f"max_time is {given}; write 90s, 30m, 2h, 1h30m, or 01:30:00.", key="max_time")
