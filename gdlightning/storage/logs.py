"""Logs that go on where a resumed training goes on: no gap, no step twice."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from gdlightning.storage.journal import JOURNAL, trim_journal
from gdlightning.storage.write import whole

METRICS = "metrics.csv"
WAIT = 2.0
"""Seconds that a line of the table may wait before it is written."""


class KeptWriter(ExperimentWriter):
    """Lightning's writer of ``metrics.csv``, which goes on with a file that is there."""

    def _check_log_dir_exists(self) -> None:
        file = Path(self.log_dir) / METRICS
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as stream:
                self.metrics_keys = next(csv.reader(stream), [])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        file = Path(self.metrics_file_path)
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        _write_rows(file, fieldnames, rows)


class Patient:
    """A logger that Lightning asks to save after each line, and that does so every two seconds."""

    _saved = 0.0

    def save(self) -> None:
        """Save, if the last time is two seconds ago."""
        if time.monotonic() - self._saved > WAIT:
            self.flush()

    def flush(self) -> None:
        """Put all that was logged on the disk."""
        super().save()  # type: ignore[misc]
        self._saved = time.monotonic()


class KeptCSVLogger(Patient, CSVLogger):
    """Lightning's CSV logger, which goes on with the file of a run that is resumed."""

    @property
    @rank_zero_experiment
    def experiment(self) -> KeptWriter:
        """The writer."""
        if self._experiment is None:
            os.makedirs(self.root_dir, exist_ok=True)
            self._experiment = KeptWriter(log_dir=self.log_dir)
        return self._experiment  # type: ignore[return-value]

    def finalize(self, status: str) -> None:
        """Write what is left."""
        if self._experiment is not None:
            self.flush()


class BoardLogger(Patient, TensorBoardLogger):
    """Lightning's TensorBoard logger."""


def flush(loggers: Iterable[Logger]) -> None:
    """Put all that loggers were given on the disk."""
    for logger in loggers:
        write = getattr(logger, "flush", logger.save)
        write()


def trim(folder: Path, step: int) -> None:
    """Take out of a run's logs all that comes after ``step`` optimizer steps.

    Rows and events of steps 0 to ``step`` - 1 stay; half-written ones at the end go.
    """
    table = folder / METRICS
    if table.is_file():
        with table.open(newline="", encoding="utf-8", errors="replace") as stream:
            reader = csv.DictReader(stream)
            names = list(reader.fieldnames or [])
            kept = [row for row in reader if _whole_row(row) and int(row["step"]) < step]
        if step > 0 and names:
            _write_rows(table, names, kept)
        else:
            table.unlink()
    trim_journal(folder / JOURNAL, step)
    for events in sorted(folder.glob("events.out.tfevents.*")):
        if step > 0:
            _trim_events(events, step)
        else:
            events.unlink()


def _whole_row(row: dict[str, Any]) -> bool:
    return None not in row and None not in row.values() and str(row.get("step", "")).isdigit()


def _write_rows(file: Path, names: list[str], rows: list[dict[str, Any]]) -> None:
    with whole(file, "w") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)


def _trim_events(file: Path, step: int) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    records = list(_records(file))
    kept = [raw for raw in records if Event.FromString(raw).step < step]
    with whole(file) as stream:
        writer = RecordWriter(stream)
        for raw in kept:
            writer.write(raw)
        writer.flush()


def _records(file: Path) -> Iterator[bytes]:
    """The whole records of an event file; one that was cut off ends them."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    yield from RawEventFileLoader(str(file)).Load()
