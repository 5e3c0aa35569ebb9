"""Logs that go on where a resumed training goes on: no gap, no step twice."""

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

from gdlightning.storage.atomic_write import free_name, whole
from gdlightning.storage.journal import JOURNAL

METRICS = "metrics.csv"
EVENTS = "events.out.tfevents.*"
WAIT = 2.0
"""Seconds that a line of the table may wait before it is written."""


class KeptWriter(ExperimentWriter):
    """Lightning's writer of ``metrics.csv``, which goes on with a file that is there."""

    rows = 0
    """Rows in the file."""

    def _check_log_dir_exists(self) -> None:
        file = Path(self.log_dir) / METRICS
        if file.is_file():
            # A damaged file is put aside by ``trim``, once the run is about to make a step.
            with (
                contextlib.suppress(csv.Error),
                file.open(newline="", encoding="utf-8", errors="replace") as stream,
            ):
                reader = csv.reader(stream)
                self.metrics_keys = next(reader, [])
                self.rows = sum(1 for _ in reader)

    def save(self) -> None:
        """Append what was logged since the last save."""
        pending = len(self.metrics)
        super().save()
        self.rows += pending

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

    @property
    def rows(self) -> int:
        """Rows in the file, by the last flush."""
        rows: int = self.experiment.rows
        return rows

    def reopen(self) -> None:
        """Read the header again of a file that was changed; what is not yet written is kept."""
        if self._experiment is not None:
            pending, self._experiment = self.experiment.metrics, None
            self.experiment.metrics = pending

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


def log_ends(folder: Path, loggers: Iterable[Logger]) -> dict[str, int]:
    """Return where each log of a run ends now: rows of its table, bytes of its other files.

    Loggers must have been flushed.
    """
    ends = {
        file.name: file.stat().st_size
        for file in [folder / JOURNAL, *folder.glob(EVENTS)]
        if file.is_file()
    }
    for logger in loggers:
        if isinstance(logger, KeptCSVLogger):
            ends[METRICS] = logger.rows
    return ends


def trim(folder: Path, ends: Mapping[str, int], among: Container[Path] | None = None) -> None:
    """Cut a run's logs to where they ended at a checkpoint, and remove those begun since.

    Args:
        folder: Folder of the run.
        ends: What ``log_ends`` returned; empty to remove all logs.
        among: Files that may be changed; all if not given.
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
    """Keep the first rows of a table; one that cannot be read is put aside."""
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
        print(f"Note: {table} is damaged and was renamed to {aside.name}; a new one is begun.",
              file=sys.stderr)  # fmt: skip
        return
    if missing := rows - len(kept):
        print(f"Note: {table} lacks the last {missing} of {rows} rows up to the checkpoint.",
              file=sys.stderr)  # fmt: skip
    _write_rows(table, names, kept)


def _write_rows(file: Path, names: list[str], rows: list[dict[str, Any]]) -> None:
    with whole(file, "w") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
