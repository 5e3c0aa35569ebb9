"""Logs that a resumed run continues without gaps or duplicate steps."""

from __future__ import annotations

import contextlib
import csv
import itertools
import os
import sys
import time
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from gdlightning.storage.atomic_write import free_name, open_atomic
from gdlightning.storage.journal import JOURNAL

METRICS = "metrics.csv"
EVENTS = "events.out.tfevents.*"
SAVE_INTERVAL = 2.0
"""Minimum time between two writes of a log, in seconds."""


class ResumableExperimentWriter(ExperimentWriter):
    """Writer of ``metrics.csv`` that appends to an existing file."""

    rows = 0
    """Number of rows in the file."""

    def _check_log_dir_exists(self) -> None:
        file = Path(self.log_dir) / METRICS
        if file.is_file():
            # ``trim`` renames a damaged file before the first step of the run.
            with (
                contextlib.suppress(csv.Error),
                file.open(newline="", encoding="utf-8", errors="replace") as stream,
            ):
                reader = csv.reader(stream)
                self.metrics_keys = next(reader, [])
                self.rows = sum(1 for _ in reader)

    def save(self) -> None:
        """Append the rows that were logged since the last save."""
        pending = len(self.metrics)
        super().save()
        self.rows += pending

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        file = Path(self.metrics_file_path)
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        _write_rows(file, fieldnames, rows)


class ThrottledSave:
    """Logger mixin that saves at most every two seconds, although Lightning calls it per row."""

    _saved = 0.0

    def save(self) -> None:
        """Save if the last save was more than two seconds ago."""
        if time.monotonic() - self._saved > SAVE_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Write all logged values to disk."""
        super().save()  # type: ignore[misc]
        self._saved = time.monotonic()


class ResumableCSVLogger(ThrottledSave, CSVLogger):
    """CSV logger that continues the file of a resumed run."""

    @property
    @rank_zero_experiment
    def experiment(self) -> ResumableExperimentWriter:
        """The writer."""
        if self._experiment is None:
            os.makedirs(self.root_dir, exist_ok=True)
            self._experiment = ResumableExperimentWriter(log_dir=self.log_dir)
        return self._experiment  # type: ignore[return-value]

    @property
    def rows(self) -> int:
        """Number of rows in the file as of the last flush."""
        rows: int = self.experiment.rows
        return rows

    def reopen(self) -> None:
        """Read the header of a changed file again, and keep the rows that are not yet written."""
        if self._experiment is not None:
            pending, self._experiment = self.experiment.metrics, None
            self.experiment.metrics = pending

    def finalize(self, status: str) -> None:
        """Write the remaining rows."""
        if self._experiment is not None:
            self.flush()


class ThrottledTensorBoardLogger(ThrottledSave, TensorBoardLogger):
    """TensorBoard logger that saves at most every two seconds."""


def flush(loggers: Iterable[Logger]) -> None:
    """Write all logged values to disk."""
    for logger in loggers:
        write = getattr(logger, "flush", logger.save)
        write()


def log_ends(folder: Path, loggers: Iterable[Logger]) -> dict[str, int]:
    """Return the current length of each log of a run, by file name.

    The length is a number of rows for ``metrics.csv`` and a number of bytes for other files. The
    loggers must have been flushed.
    """
    ends = {
        file.name: file.stat().st_size
        for file in [folder / JOURNAL, *folder.glob(EVENTS)]
        if file.is_file()
    }
    for logger in loggers:
        if isinstance(logger, ResumableCSVLogger):
            ends[METRICS] = logger.rows
    return ends


def trim(folder: Path, ends: Mapping[str, int], among: Container[Path] | None = None) -> None:
    """Truncate the logs of a run to their lengths at a checkpoint, and remove newer files.

    Args:
        folder: The run folder.
        ends: The lengths that ``log_ends`` returned. An empty mapping removes all logs.
        among: The files that may be changed, or None for all files.
    """
    for file in [folder / METRICS, folder / JOURNAL, *folder.glob(EVENTS)]:
        if not file.is_file() or (among is not None and file not in among):
            continue
        if file.name not in ends:
            file.unlink()
        elif file.name == METRICS:
            _trim_table(file, ends[METRICS])
        elif file.stat().st_size > ends[file.name]:
            os.truncate(file, ends[file.name])


def _trim_table(table: Path, rows: int) -> None:
    """Keep the first rows of a table, or rename the table if it cannot be read."""
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            names = list(reader.fieldnames or [])
            kept = list(itertools.islice(reader, rows))
    except (ValueError, csv.Error):
        names, kept = [], []
    damaged = len(set(names)) < max(1, len(names)) or "step" not in names
    if damaged or any(None in row or None in row.values() for row in kept):
        aside = free_name(table.with_name(f"{METRICS}.damaged"))
        table.rename(aside)
        print(
            f"Note: {table} is damaged and was renamed to {aside.name}; a new file is started.",
            file=sys.stderr,
        )
        return
    if missing := rows - len(kept):
        print(
            f"Note: {table} lacks the last {missing} of {rows} rows up to the checkpoint.",
            file=sys.stderr,
        )
    _write_rows(table, names, kept)


def _write_rows(file: Path, names: list[str], rows: list[dict[str, Any]]) -> None:
    with open_atomic(file, "w") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
