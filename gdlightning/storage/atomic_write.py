"""Write files atomically: completely or not at all."""

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
def open_atomic(
    path: Path, mode: str = "wb", before: Callable[[Path], None] = lambda temporary: None
) -> Iterator[IO[Any]]:
    """Open a temporary file that replaces ``path`` when the block ends without an error.

    If the block is interrupted, the previous file is unchanged.

    Args:
        path: The file to write.
        mode: The mode of the stream, ``"w"`` or ``"wb"``.
        before: Called with the temporary file after it is written and before ``path`` is replaced.

    Yields:
        A stream to the temporary file, in the folder of ``path``.

    Raises:
        StorageError: If the file cannot be written, for example because the disk is full.
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
            f"{path} cannot be written: {error.strerror or error}.\n"
            "The previous file is unchanged. Check the free disk space and the permissions."
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        StorageError: If the file cannot be written.
    """
    with open_atomic(path, "w") as stream:
        stream.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically. Non-finite numbers become null.

    Raises:
        StorageError: If the file cannot be written.
    """
    write_text(path, json.dumps(plain_numbers(value), indent=2, allow_nan=False) + "\n")


def plain_numbers(value: Any) -> Any:
    """Replace the non-finite numbers in a nested value by None."""
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
    """Flush the rename to disk if the operating system supports it."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
