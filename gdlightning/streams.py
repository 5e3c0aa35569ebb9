"""Keep a run alive when standard output or standard error fails.

Output is dropped if it cannot be written, for example because the reader of a pipe has exited, the
disk is full or the descriptor is closed.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


def open_missing() -> None:
    """Open the null device for each standard descriptor that is closed.

    Otherwise the next file that is opened, such as a checkpoint, gets its number, and output to
    standard error is written to that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


def drop_failed_output() -> None:
    """Replace standard output and error by streams that drop output on errors."""
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
    """A descriptor that is redirected to the null device after the first failed write."""

    def write(self, data: Any) -> int:
        """Write the data, or drop it if the write fails."""
        try:
            written = super().write(data)
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # for code that writes to the descriptor directly
            os.close(null)
            written = None
        return memoryview(data).nbytes if written is None else written
