"""Standard output and error of a run, which nothing that happens to them may end.

A reader that goes away, a full disk under a log file, a closed descriptor: what a run prints is
for watching, and is dropped where it cannot be written.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


def open_missing() -> None:
    """Open the null device for the standard descriptors that are closed.

    Otherwise the next files that are opened, such as checkpoints, get their numbers, and whatever
    is written to the standard error of the process ends up in them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # has the lowest free number
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


def drop_failed_output() -> None:
    """From now on, drop what standard output and error cannot take."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        former = getattr(sys, name)
        if isinstance(former, io.TextIOWrapper):
            with contextlib.suppress(OSError):
                former.flush()
            stream = io.TextIOWrapper(
                io.BufferedWriter(_Dropping(number, "w", closefd=False)),
                encoding=former.encoding,
                errors="backslashreplace" if former.errors == "strict" else former.errors,
                line_buffering=former.line_buffering or former.write_through,
            )
            setattr(sys, name, stream)


class _Dropping(io.FileIO):
    """A descriptor that leads to the null device from the first write that fails."""

    def write(self, data: Any) -> int:
        """Write what can be written, and claim to have written all of the rest."""
        try:
            written = super().write(data)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # for those who write to the descriptor itself
            os.close(null)
            written = None
        return memoryview(data).nbytes if written is None else written
