"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from gdlightning.errors import StorageError


@contextlib.contextmanager
def whole(
    path: Path, mode: str = "wb", before: Callable[[Path], None] = lambda temporary: None
) -> Iterator[IO[Any]]:
    """A stream to a temporary file beside ``path``, which takes its place once it is on the disk.

    Whatever interrupts the block leaves the former file as it was. ``before`` is called with
    the temporary file when all is written and nothing replaced yet.

    Raises:
        StorageError: the disk is full, the folder is read-only, or the like.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    encoding = None if "b" in mode else "utf-8"
    try:
        with temporary.open(mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        before(temporary)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise StorageError(
            f"{path} can't be written: {error.strerror or error}.\n"
            "What stood there before is as it was."
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text.

    Raises:
        StorageError: it can't be written.
    """
    with whole(path, "w") as stream:
        stream.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON; numbers that JSON has no word for become null.

    Raises:
        StorageError: it can't be written.
    """
    write_text(path, json.dumps(plain_numbers(value), indent=2, allow_nan=False) + "\n")


def plain_numbers(value: Any) -> Any:
    """A nested value in which numbers that JSON has no word for are None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: plain_numbers(v) for k, v in value.items()}
    return [plain_numbers(v) for v in value] if isinstance(value, list | tuple) else value


def free_name(path: Path) -> Path:
    """Return a path that does not exist: this one, or the first of it with 1, 2, … appended."""
    names = (path.with_name(f"{path.name}{k or ''}") for k in itertools.count())
    return next(name for name in names if not os.path.lexists(name))


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writers that were killed."""
    for left in folder.glob(".*.tmp"):
        _remove(left)


def _sync_folder(folder: Path) -> None:
    """Put the rename itself on the disk, where the system can."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
