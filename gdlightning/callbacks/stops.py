"""Reasons to stop before the end: signals and a time limit."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import lightning.pytorch as L
import torch

from gdlightning.errors import UserError

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")
CODES = {"SIGINT": 130}
REQUEUE = 75
"""Exit code of a training that was stopped and saved, EX_TEMPFAIL: start it again to go on."""


class Stopped(BaseException):
    """Training has stopped and saved; no error, but nothing may go on after it.

    Attributes:
        reason: the name of the signal, or ``max_time``.
        saved: whether a checkpoint was written.
    """

    def __init__(self, reason: str, saved: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.saved = reason, saved

    @property
    def code(self) -> int:
        """The exit code, for people (130 after an interrupt) and schedulers (75: requeue)."""
        return CODES.get(self.reason, REQUEUE)


class Stops(L.Callback):
    """Notes signals and the time limit; whoever may stop asks for the reason.

    The first signal asks for a stop after the current step; a second interrupt ends the process
    at once.

    Args:
        seconds: of training after which it stops; no limit if None.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds, self.began = seconds, time.monotonic()
        self.signal: str | None = None
        self._former: dict[int, Any] = {}

    def install(self) -> None:
        """Handle the signals, in the main thread of a process."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name in SIGNALS:
            number = getattr(signal, name, None)
            if number is not None:
                former = signal.signal(number, self._note)
                self._former.setdefault(number, former)

    def remove(self) -> None:
        """Leave the signals as they were."""
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former = {}

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take back the signals that Lightning has just taken."""
        self._take_back(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same where there is no sanity check."""
        self._take_back(trainer)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The same for a test."""
        self._take_back(trainer)

    def _take_back(self, trainer: L.Trainer) -> None:
        """Lightning would end training on SIGTERM without a save, with exit code 0."""
        self.install()
        trainer._signal_connector.received_sigterm = False

    def reason(self, trainer: L.Trainer) -> str | None:
        """Why to stop now, the same on all ranks; None to go on."""
        own = self.signal
        if own is None and self.seconds is not None:
            own = "max_time" if time.monotonic() - self.began > self.seconds else None
        if trainer.world_size == 1:
            return own
        names = ["", "max_time", *SIGNALS]
        number = torch.tensor(names.index(own or ""), device=trainer.strategy.root_device)
        torch.distributed.all_reduce(number, torch.distributed.ReduceOp.MAX)
        return names[int(number)] or None

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

    def _note(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.signal == "SIGINT" and name == "SIGINT":
            sys.stderr.write("\nStopped at once.\n")
            sys.stderr.flush()
            os._exit(CODES["SIGINT"])
        if self.signal is None:
            self.signal = name
            again = "; once more to stop at once" if name == "SIGINT" else ""
            os.write(2, f"\n{name}: finishing the step and saving{again}.\n".encode())


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
    raise UserError(f"max_time is {given}; write 90s, 30m, 2h, 1h30m, or 01:30:00.")
