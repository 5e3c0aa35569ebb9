"""Verdicts while a training runs and at its end: in the terminal, in a file, in TensorBoard."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from tqdm import tqdm

from gdlightning.callbacks.monitor import Monitor
from gdlightning.callbacks.observer import Observer
from gdlightning.callbacks.step_logger import boards
from gdlightning.diagnostics.diagnose import as_markdown, as_text, diagnose, write
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict
from gdlightning.signals import stop_signals

FIRST, GROWTH = 100, 1.5
"""Steps before the first look, and by what factor the steps grow from look to look."""
LIVE = ("fault",)
"""What is told while a training runs; the rest waits for its end."""


class Verdicts(Observer):
    """Says what the monitor's measurements mean.

    While training runs, each fault is told once; at the end all verdicts are told, written to
    ``verdicts.json``, and shown in TensorBoard with a picture where there is something to mend.

    Args:
        monitor: that measures.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.told: set[str] = set()
        self._next = FIRST
        self._unread: Path | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let a resumed run continue with what was measured before."""
        if trainer.global_step and self.monitor.folder is not None:
            self._unread = self.monitor.folder
            self._next = int(GROWTH * trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look from time to time, and tell new faults."""
        step = trainer.global_step
        if step < self._next or stop_signals.name is not None:  # which must not wait
            return
        self._next = int(GROWTH * step) + 1
        if trainer.is_global_zero and self.monitor.on:
            found = self._found()
            new = [v for v in found if v.severity in LIVE and v.name not in self.told]
            self.told |= {v.name for v in new}
            if new:
                tqdm.write(f"At step {step:,}:\n{as_text(new)}", file=sys.stderr)

    def _found(self) -> list[Verdict]:
        """The verdicts; a training must not end because one can't be had."""
        try:
            if self._unread is not None:  # not earlier: the file is cut before the first step
                self.monitor.record = RunRecord.read(self._unread)
                self._unread = None
            return diagnose(self.monitor.record)
        except Exception as error:
            warnings.warn(f"No verdicts: {type(error).__name__}: {error}", stacklevel=2)
            return []

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """A training that failed has verdicts too."""
        if isinstance(exception, Exception) and (found := self.finish(trainer)):
            tqdm.write(as_text(found), file=sys.stderr)

    def finish(self, trainer: L.Trainer) -> list[Verdict]:
        """Write and show the verdicts of the whole training; called once it has ended."""
        folder = self.monitor.folder
        if folder is None or not trainer.is_global_zero or not self.monitor.on:
            return []
        found = self._found()
        if not found:
            return []
        write(found, folder)
        step = max(0, trainer.global_step - 1)
        bad = [v for v in found if v.severity in ("fault", "warning")]
        for board in boards(trainer):
            board.experiment.add_text("verdicts", as_markdown(found), step)
            if bad and importlib.util.find_spec("matplotlib") is not None:
                from gdlightning.diagnostics.verdict_figure import overview

                picture = overview(self.monitor.record, found)
                board.experiment.add_figure("verdicts", picture, step)
        return found
