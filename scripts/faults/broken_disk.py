"""Make file operations of this process fail, as on a full or broken disk.

The environment variable ``BROKEN`` has the form ``OPERATION ERROR PATTERN FIRST COUNT``, for
example ``write ENOSPC *.ckpt* 2 99``. OPERATION is write, read, fsync, rename, link or lock. ERROR
is the name of an errno, MEMORY, or EXIT, which ends the process immediately. PATTERN selects file
names. Of the matching operations, COUNT fail, starting with number FIRST.
"""

from __future__ import annotations

import builtins
import errno
import fnmatch
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KILLED = 137
"""Exit code of a process ended by EXIT."""


@dataclass
class Fault:
    """Operation to fail, and its number of calls so far."""

    operation: str
    error: str
    pattern: str
    first: int
    count: int
    seen: int = 0

    def __call__(self, path: Any) -> None:
        """Raise the error if this call should fail."""
        name = os.path.basename(os.fsdecode(path))
        if not fnmatch.fnmatch(name, self.pattern):
            return
        self.seen += 1
        if not self.first <= self.seen < self.first + self.count:
            return
        if self.error == "EXIT":
            os._exit(KILLED)
        if self.error == "MEMORY":
            raise MemoryError
        number = getattr(errno, self.error)
        raise OSError(number, os.strerror(number), os.fsdecode(path))


def setup() -> None:
    """Install the fault."""
    operation, error, pattern, first, count = os.environ["BROKEN"].split()
    fault = Fault(operation, error, pattern, int(first), int(count))
    {
        "write": _files,
        "read": _files,
        "fsync": _fsync,
        "rename": _names,
        "link": _names,
        "lock": _locks,
    }[operation](fault)


def _files(fault: Fault) -> None:
    """Make reading from or writing to open files fail."""
    usual: Callable[..., Any] = builtins.open

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            if fault.operation == "write":
                fault(self.name)
            return super().write(data)

        def readinto(self, buffer: Any) -> Any:
            if fault.operation == "read":
                fault(self.name)
            return super().readinto(buffer)

        def readall(self) -> Any:
            if fault.operation == "read":
                fault(self.name)
            return super().readall()

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        named = isinstance(file, str | os.PathLike) and opener is None and buffering == -1
        writes = bool(set(mode) & set("wxa+"))
        if not named or writes != (fault.operation == "write") or "+" in mode:
            return usual(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = Raw(os.fspath(file), mode.replace("b", "").replace("t", ""))
        stream: Any = io.BufferedWriter(raw) if writes else io.BufferedReader(raw)
        if "b" in mode:
            return stream
        text = io.TextIOWrapper(stream, io.text_encoding(encoding), errors, newline)
        text.mode = mode  # type: ignore[misc]
        return text

    builtins.open = io.open = opened


def _fsync(fault: Fault) -> None:
    usual = os.fsync

    def fsync(file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        fault(os.readlink(f"/proc/self/fd/{number}"))
        usual(number)

    os.fsync = fsync  # type: ignore[assignment]


def _names(fault: Fault) -> None:
    for name in ("replace", "rename") if fault.operation == "rename" else ("link",):
        usual = getattr(os, name)

        def given(source: Any, target: Any, *more: Any, usual: Any = usual, **options: Any) -> Any:
            fault(target)
            return usual(source, target, *more, **options)

        setattr(os, name, given)


def _locks(fault: Fault) -> None:
    import fcntl

    for name in ("flock", "lockf"):
        usual = getattr(fcntl, name)

        def lock(file: Any, *arguments: Any, usual: Any = usual) -> Any:
            number = file if isinstance(file, int) else file.fileno()
            fault(os.readlink(f"/proc/self/fd/{number}"))
            return usual(file, *arguments)

        setattr(fcntl, name, lock)
