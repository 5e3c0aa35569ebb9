"""The lock on a run's folder: one process at a time writes to it."""

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
"""What the system answers where another process has the lock; all else is about the locks."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a run's folder; False where another living process holds it, or has taken it away.

    The system releases the lock when the process ends, however it ends.

    Raises:
        UserError: the folder cannot be written to.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError:  # not on this system
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
    """Lock an open file; without locks on its file system, warn and proceed.

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
