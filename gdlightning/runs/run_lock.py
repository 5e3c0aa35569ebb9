"""A lock on a run folder, so that only one process writes to it."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gdlightning.errors import UserError

LOCK = ".lock"
HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)
"""Error numbers if another process has the lock; all others mean that locks do not work."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Lock a run folder; yields False if another process has locked or removed it.

    The system releases the lock when the process ends, however it ends.

    Raises:
        UserError: if the folder cannot be written to.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:  # not available on this system
        yield True
        return
    try:
        stream = (folder / LOCK).open("a")
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        raise UserError(
            f"The run folder {folder} cannot be written to: {error.strerror}."
        ) from error
    with stream:
        yield _lock(stream, folder)


def _lock(stream: IO[str], folder: Path) -> bool:
    """Lock an open file; warn if its file system does not support locks.

    A POSIX lock comes first: network file systems have it where they lack ``flock``, and forked
    workers that outlive a killed process do not inherit it.
    """
    import fcntl

    for lock in (fcntl.lockf, fcntl.flock):
        try:
            lock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in HELD:
                return False
            reason = error.strerror
    print(
        f"Warning: {folder} cannot be locked ({reason}): make sure that no other process trains "
        "there.",
        file=sys.stderr,
    )
    return True
