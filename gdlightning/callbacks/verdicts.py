"""Verdicts during a run and at its end: in the terminal, in a file, in TensorBoard."""

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

FIRST_DIAGNOSIS_STEP = 100
"""Step of the first diagnosis."""
DIAGNOSIS_GROWTH = 1.5
"""Factor between the steps of two diagnoses."""
LIVE_SEVERITIES = ("fault",)
"""Severities that are reported during the run; the others are reported at the end."""


class Verdicts(Observer):
    """Reports verdicts about the run, based on the monitor's measurements.

    During training, each fault is printed once. At the end, all verdicts are printed, written to
    ``verdicts.json`` and added to TensorBoard, with a figure if there is a fault or a warning.

    Args:
        monitor: monitor of the run.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.reported: set[str] = set()
        self._next = FIRST_DIAGNOSIS_STEP
        self._unread: Path | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Read the measurements from before a resume."""
        if trainer.global_step and self.monitor.folder is not None:
            self._unread = self.monitor.folder
            self._next = int(DIAGNOSIS_GROWTH * trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Diagnose the run at increasing intervals, and print new faults."""
        step = trainer.global_step
        if step < self._next or stop_signals.name is not None:  # a stop must not wait
            return
        self._next = int(DIAGNOSIS_GROWTH * step) + 1
        if trainer.is_global_zero and self.monitor.on:
            found = self._diagnose()
            new = [
                v for v in found if v.severity in LIVE_SEVERITIES and v.name not in self.reported
            ]
            self.reported |= {v.name for v in new}
            if new:
                tqdm.write(f"At step {step:,}:\n{as_text(new)}", file=sys.stderr)

    def _diagnose(self) -> list[Verdict]:
        """Return the verdicts, or none with a warning: a failure must not end the run."""
        try:
            if self._unread is not None:  # only now, since a resume truncates the file
                self.monitor.record = RunRecord.read(self._unread)
                self._unread = None
            return diagnose(self.monitor.record)
        except Exception as error:
            warnings.warn(f"The diagnosis failed: {type(error).__name__}: {error}", stacklevel=2)
            return []

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Print the verdicts of a run that failed."""
        if isinstance(exception, Exception) and (found := self.finish(trainer)):
            tqdm.write(as_text(found), file=sys.stderr)

    def finish(self, trainer: L.Trainer) -> list[Verdict]:
        """Write the verdicts of a run that has ended, and return them."""
        folder = self.monitor.folder
        if folder is None or not trainer.is_global_zero or not self.monitor.on:
            return []
        found = self._diagnose()
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
