"""Storage of a study: Optuna's journal file, made safe against kills, or a database."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TypedDict

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from gdlightning.errors import StorageError, UserError
from gdlightning.storage.typed_rows import mismatch

JOURNAL = "journal.log"
LOCKED = 60.0
"""Seconds that a database may be locked by another process."""
BEGINNING = re.compile(rb'\{"op_code":(\d+),"worker_id":"[^"]*",(?:"study_id":(\d+),)?')
"""Of a line of the journal, by which one that is damaged further on is known."""
DECISIVE = (JournalOperation.CREATE_STUDY, JournalOperation.DELETE_STUDY)
"""Lines without which the others have no meaning."""


class _Line(TypedDict):
    op_code: int
    worker_id: str


class _OfStudy(_Line):
    study_id: int


class _OfTrial(_Line):
    trial_id: int


class _StudyAttribute(_OfStudy):
    user_attr: dict[str, Any]


class _TrialAttribute(_OfTrial):
    user_attr: dict[str, Any]


class _State(_OfTrial):
    state: int
    values: list[float] | None


LINES: dict[int, Any] = {
    JournalOperation.SET_STUDY_USER_ATTR: _StudyAttribute,
    JournalOperation.CREATE_TRIAL: _OfStudy,
    JournalOperation.SET_TRIAL_USER_ATTR: _TrialAttribute,
    JournalOperation.SET_TRIAL_STATE_VALUES: _State,
}
"""Types of the lines that a study consists of."""


class Journal(JournalFileBackend):
    """Journal file of Optuna that repairs its end if a writer was killed within a line.

    Its lock is the system's, which lets go of it when the holder ends, however it ends; Optuna's
    own would stay for half a minute.

    Attributes:
        damaged: numbers of the lines that can't be read, and without which the study can go on.
        line: number of the line that was read last.
    """

    def __init__(self, file_path: str) -> None:
        super().__init__(file_path)
        self.damaged: list[int] = []
        self.line = 0
        self._places = {0: 0}

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Return the lines from a number on; one that is being written is left for later.

        Raises:
            UserError: a line is damaged without which the others have no meaning.
        """
        number = log_number_from if log_number_from in self._places else 0
        with open(self._file_path, "rb") as stream:
            stream.seek(self._places[number])
            while (line := stream.readline()).endswith(b"\n"):
                number += 1
                self._places[number] = stream.tell()
                if number > log_number_from:
                    self.line = number
                    yield _parsed(line) or self._replaced(line, number)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines after removing an incomplete last line."""
        import fcntl

        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with open(f"{self._file_path}.lock", "w") as lock, open(self._file_path, "r+b") as stream:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stream.seek(_whole(stream))
            stream.truncate()
            stream.write(lines.encode())
            stream.flush()
            os.fsync(stream.fileno())

    def _replaced(self, line: bytes, number: int) -> dict[str, Any]:
        """Return a line in place of a damaged one: trials are counted by the lines that add them.

        Raises:
            UserError: it can't be known what the line was, or it is needed.
        """
        known = BEGINNING.match(line)
        operation = int(known[1]) if known else -1
        adds = operation == JournalOperation.CREATE_TRIAL
        if not known or operation in DECISIVE or (adds and known[2] is None):
            raise UserError(
                f"{self._file_path}, line {number} is damaged, and the study can't go on without "
                "it.\nPut a copy of the file in its place. Or keep the lines before it alone: the "
                "trials of the others are run again."
            )
        self.damaged.append(number)
        if adds:
            return {
                "op_code": operation,
                "worker_id": "",
                "study_id": int(known[2]),
                "datetime_start": None,
                "state": TrialState.FAIL.value,
            }
        nobody = {"study_id": -1, "user_attr": {"": None}, "worker_id": ""}
        return {"op_code": JournalOperation.SET_STUDY_USER_ATTR.value, **nobody}


def opened(where: str | Path) -> BaseStorage:
    """Open the storage at the URL of a database, or in a folder.

    Raises:
        UserError: it cannot be opened.
        StorageError: the database is locked, or the disk is full.
    """
    if "://" in str(where):
        waits = {"connect_args": {"timeout": LOCKED}} if str(where).startswith("sqlite") else None
        try:
            return RDBStorage(str(where), engine_kwargs=waits)
        except Exception as error:  # of drivers and servers, whatever they raise
            if locked := _locked(where, error):
                raise locked from error
            raise UserError(f"The database {where} cannot be opened: {_why(error)}.") from error
    path = str(Path(where) / JOURNAL)
    try:
        import fcntl  # noqa: F401
    except ImportError:  # not available on Windows
        return JournalStorage(JournalFileBackend(path))
    journal = None
    try:
        journal = Journal(path)
        return JournalStorage(journal)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be opened: {error.strerror or error}.") from error
    except Exception as error:  # of a line that is JSON, but no line of a journal
        line = journal.line if journal else 0
        raise UserError(
            f"{path}, line {line} can't be read ({type(error).__name__}: {_first(error)}).\n"
            "Put a copy of the file in its place, or choose another folder with --output."
        ) from error


@contextlib.contextmanager
def in_words(where: str | Path) -> Iterator[None]:
    """Say what is wrong with a database that can't be used any more.

    Raises:
        StorageError: it stayed locked, the disk is full, the server is gone, or the like.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        if locked := _locked(where, error):
            raise locked from error
        raise StorageError(f"The database {where} can't be used: {_why(error)}.") from error


def remove(folder: Path) -> None:
    """Delete the journal file and its lock."""
    for name in (JOURNAL, f"{JOURNAL}.lock"):
        (folder / name).unlink(missing_ok=True)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return a line of a journal; None if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if mismatch(found, _Line) or mismatch(found, LINES.get(found["op_code"], _Line)):
        return None
    return dict(found)


def _locked(where: str | Path, error: Exception) -> StorageError | None:
    """Return the error for a database that is locked; None for any other."""
    if "database is locked" not in _why(error):
        return None
    return StorageError(
        f"The database {where} was locked by another process for {LOCKED:.0f} s.\n"
        "Start the same command again once it is free; it goes on with what was told."
    )


def _why(error: Exception) -> str:
    """Return what a database or a driver says, in a line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return _first(getattr(cause, "orig", None) or cause or error)


def _first(error: object) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _whole(stream: Any) -> int:
    """Return the position after the last complete line of a file."""
    end: int = stream.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - 65536)
        stream.seek(begin)
        found = stream.read(end - begin).rfind(b"\n")
        if found >= 0:
            return int(begin + found + 1)
        end = begin
    return 0
