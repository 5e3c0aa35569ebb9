"""Handle the signals that stop a process. Uses the standard library only, to be imported first.

Before training starts there is nothing to save, so that a signal ends the process at once. During
training the signal is recorded, and the trainer saves a checkpoint after the step. See ``Phase``.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from types import FrameType
from typing import Any, NoReturn

from gdlightning.errors import UserError

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1")
REQUEUE = 75
"""Exit code of a stopped run (EX_TEMPFAIL). Start the run again to resume it."""
SIGNAL_NUMBERS = [int(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)]
CODES = {"SIGINT": 130}
"""Exit codes of other reasons to stop."""
GRACE_SECONDS = 8.0
"""Time to react to a signal while there is nothing to save. Then the process is ended."""
REPEAT_SECONDS = {"SIGINT": 0.0, "SIGTERM": 1.0}
"""Time after which a repeated signal ends the process at once.

Launchers and schedulers often send SIGTERM twice within milliseconds, which counts as one signal.
"""


class Phase(Enum):
    """The phase of a process. The value describes the effect of a signal."""

    ABORTABLE = "raises Stopped at once; there is nothing to save"
    DEFERRED = "is recorded, and the process stops soon; there is nothing to save"
    TRAINING = "is recorded; the step is finished and a checkpoint is saved"
    FINISHED = "is ignored; all files are written"


class Stopped(BaseException):
    """A stop was requested and everything that can be saved is saved.

    It is not an ``Exception``, so that code that handles errors does not catch it.

    Attributes:
        reason: The name of a signal, ``max_time`` or ``stop_after``.
        saved: True if a checkpoint was written.
    """

    def __init__(self, reason: str, saved: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.saved = reason, saved

    @property
    def code(self) -> int:
        """Exit code: 130 after an interrupt, otherwise 75, which makes schedulers requeue."""
        return exit_code(self.reason)


def exit_code(reason: str) -> int:
    """Return the exit code of a process that stops for a reason.

    It is 0 in the additional processes that Lightning starts on a node: Lightning kills all
    processes, including the first one, as soon as one of them ends with another code.
    """
    return 0 if _started_by_lightning() else CODES.get(reason, REQUEUE)


def _started_by_lightning() -> bool:
    return os.environ.get("LOCAL_RANK", "0") != "0" and "RANK" not in os.environ


def _print(text: str) -> None:
    """Write a line to the standard error descriptor, which is safe in a signal handler."""
    if not _started_by_lightning():
        with contextlib.suppress(OSError):
            os.write(2, f"\n{text}\n".encode())


class StopSignals:
    """The handlers of SIGTERM, SIGINT and SIGUSR1 in this process.

    A second SIGINT, or a second SIGTERM more than a second after the first, ends the process at
    once. While there is nothing to save, a thread ends a process that does not react to a signal
    within ``GRACE_SECONDS`` because C code does not return. C code that holds Python's global
    interpreter lock also delays this thread.

    Attributes:
        name: The name of the first signal that arrived, or None.
        phase: The phase of the process.
        cleanups: Functions to call before the process is ended without Python's clean-up.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.phase = Phase.ABORTABLE
        self.ends_process = True
        self.cleanups: list[Callable[[], None]] = []
        self._active = False
        self._arrived_early = False
        self._code = 0
        self._since = 0.0
        self._arrived: dict[str, float] = {}
        self._former: dict[int, Any] = {}
        self._former_wakeup = -1
        self._over = threading.Event()

    @contextlib.contextmanager
    def handled(self, until_exit: bool, ends_process: bool = True) -> Iterator[None]:
        """Handle the signals while the block runs.

        Args:
            until_exit: If True, keep the handlers until the process ends. Otherwise, restore the
                previous handlers after the block.
            ends_process: If True, end the process on a repeated signal or without a reaction to a
                signal. Otherwise, a repeated signal raises KeyboardInterrupt, as in a notebook.
        """
        self.ends_process = ends_process
        self.name, self.phase, self.cleanups = None, Phase.ABORTABLE, []
        self._arrived_early, self._code = False, 0
        self._arrived, self._over = {}, threading.Event()
        hook = sys.unraisablehook
        sys.unraisablehook = _without_stops(hook)
        self.install()
        try:
            yield
        except BaseException as error:
            code = getattr(error, "code", None)
            self._code = code if isinstance(code, int) else 1
            if self.ending and not isinstance(error, UserError | SystemExit):
                # The stop caused the error.
                raise Stopped(str(self.name), saved=False) from error
            raise
        finally:
            if self.name is None:
                self.phase = Phase.FINISHED
            if until_exit:  # Python resets handlers early in its clean-up, but not SIG_IGN
                atexit.register(self._set_all, signal.SIG_IGN)
            else:
                sys.unraisablehook = hook
                self._restore()

    def install(self) -> None:
        """Install the handlers, again if they were replaced. Works in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._set_all(self._handle)
            if not self._active:
                self._active = True
                self._start_watchdog()

    def enter(self, phase: Phase) -> None:
        """Enter a phase.

        Raises:
            Stopped: If a signal was recorded and there is nothing to save.
        """
        self.phase, self._since = phase, time.monotonic()
        if phase is Phase.ABORTABLE and self.name is not None:
            raise Stopped(self.name, saved=False)

    def end(self) -> NoReturn:
        """End this process and its child processes at once."""
        with contextlib.suppress(Exception):
            for child in sys.modules["multiprocessing"].active_children():
                child.kill()
        for cleanup in self.cleanups:
            with contextlib.suppress(Exception):
                cleanup()
        os._exit(self._code if self.phase is Phase.FINISHED else exit_code(self.name or ""))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name, now = signal.Signals(number).name, time.monotonic()
        if name in self._arrived:
            if now - self._arrived[name] >= REPEAT_SECONDS.get(name, float("inf")):
                if not self.ends_process:
                    raise KeyboardInterrupt
                _print(f"{name}: stopped at once.")
                self.end()
            return
        self._arrived[name] = now
        if self.name is not None or self.phase is Phase.FINISHED:
            return
        self.name, self._arrived_early = name, self._waits
        if self.phase is Phase.ABORTABLE:
            _print(f"{name}: stopping; there is nothing to save.")
            raise Stopped(name, saved=False)
        again = "; send it again to stop at once" if name in REPEAT_SECONDS else ""
        if hasattr(signal, "SIGCHLD"):
            # A scheduler also signals the workers of data loaders. When a worker ends, torch
            # raises an error at an arbitrary line, possibly while a checkpoint is saved.
            number = signal.SIGCHLD
            self._former.setdefault(number, signal.signal(number, lambda *_: None))
        how = "finishing the step and saving" if self.phase is Phase.TRAINING else "stopping soon"
        _print(f"{name}: {how}{again}.")

    def _set_all(self, handler: Any) -> None:
        for number in SIGNAL_NUMBERS:
            self._former.setdefault(number, signal.signal(number, handler))

    def _restore(self) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)
        if self._active and os.name == "posix":
            os.close(signal.set_wakeup_fd(self._former_wakeup))  # wakes the watchdog
        self._over.set()
        self._former, self._active = {}, False

    def _after_fork(self) -> None:
        """Ignore the signals in a child process, such as a data loader worker.

        Schedulers signal all processes, and a worker that ends makes the run fail.
        """
        if self._active:
            self._active = False
            signal.set_wakeup_fd(-1)
            for number in SIGNAL_NUMBERS:
                ends = number == signal.SIGTERM  # sent by Process.terminate()
                signal.signal(number, signal.SIG_DFL if ends else signal.SIG_IGN)

    @property
    def ending(self) -> bool:
        """True if a signal arrived while there was nothing to save, and there still is nothing."""
        return self._arrived_early and self._waits

    @property
    def _waits(self) -> bool:
        return self.phase in (Phase.ABORTABLE, Phase.DEFERRED)

    # Watchdog thread, which ends a process that does not react

    def _start_watchdog(self) -> None:
        """Start a thread that Python's C-level signal handler wakes through a pipe."""
        if os.name == "posix":
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            self._former_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(reader, self._over), daemon=True).start()

    def _watch(self, reader: int, over: threading.Event) -> None:
        number = -1
        while number not in SIGNAL_NUMBERS or self.phase is Phase.FINISHED:
            received = os.read(reader, 1)
            if not received:
                break
            number = received[0]
        self._since = max(self._since, time.monotonic())
        while not over.wait(0.1):
            if self.ends_process and self._waits and time.monotonic() - self._since > GRACE_SECONDS:
                self.name = signal.Signals(number).name
                _print(f"{self.name}: stopped after {GRACE_SECONDS:g} s; there is nothing to save.")
                self.end()
        os.close(reader)


Hook = Callable[[Any], Any]


def _without_stops(inner: Hook) -> Hook:
    """Return a hook that ignores ``Stopped`` where Python cannot raise it, such as in weakrefs."""

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, Stopped):
            inner(unraisable)

    return hook


stop_signals = StopSignals()
"""The handlers of this process. ``gdlightning.__main__`` activates them for ``gdl fit``."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=stop_signals._after_fork)
