"""Signals that ask a process to stop, handled from its first moments on; standard library alone.

Before training begins there is nothing to save, so a signal ends whatever runs at once. During
training it is noted, and the trainer saves at the next place where a run can resume. See ``Phase``.
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
"""Exit code of a run that was stopped, EX_TEMPFAIL: start it again to resume it."""
NUMBERS = [int(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)]
CODES = {"SIGINT": 130}
"""Exit codes of the reasons to stop for which it is another one."""
GRACE_SECONDS = 8.0
"""Time to react to a signal while there is nothing to save; then the process ends."""
REPEAT_SECONDS = {"SIGINT": 0.0, "SIGTERM": 1.0}
"""A signal that is repeated after this time ends the process at once. Launchers and schedulers
often deliver SIGTERM twice within milliseconds; that counts as one."""


class Phase(Enum):
    """What a process is doing when a signal arrives; the value is what the signal does."""

    ABORTABLE = "raises Stopped at once: there is nothing to save"
    DEFERRED = "is noted, and a place to stop at comes soon; there is nothing to save"
    TRAINING = "is noted; the step is finished and saved"
    FINISHED = "is ignored: all files are written"


class Stopped(BaseException):
    """A stop was asked for, and all that can be saved is saved.

    Not an ``Exception``, so that nobody takes it for an error and continues.

    Attributes:
        reason: the name of a signal, ``max_time`` or ``stop_after``.
        saved: whether a checkpoint was written.
    """

    def __init__(self, reason: str, saved: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.saved = reason, saved

    @property
    def code(self) -> int:
        """The exit code, for people (130 after an interrupt) and schedulers (75: requeue)."""
        return exit_code(self.reason)


def exit_code(reason: str) -> int:
    """Return the exit code of a process that stops for a reason.

    It is 0 in the further processes that Lightning starts on a node: Lightning kills all processes,
    the first one included, as soon as one of them ends with another code.
    """
    return 0 if _started_by_lightning() else CODES.get(reason, REQUEUE)


def _started_by_lightning() -> bool:
    return os.environ.get("LOCAL_RANK", "0") != "0" and "RANK" not in os.environ


def _say(text: str) -> None:
    """Write a line to standard error, from a signal handler, whatever state its stream is in."""
    if not _started_by_lightning():
        with contextlib.suppress(OSError):
            os.write(2, f"\n{text}\n".encode())


class StopSignals:
    """The handlers of SIGTERM, SIGINT and SIGUSR1 of this process.

    A second SIGINT, or a second SIGTERM more than a second after the first, ends the process at
    once. While there is nothing to save, a process that has not reacted to a signal after
    ``GRACE_SECONDS``, because it is inside C code that does not return, is ended by a thread. C
    code that also holds Python's global lock delays that thread as well.

    Attributes:
        name: of the first signal that arrived; None before.
        phase: what the process is doing.
        cleanups: called before the process is ended without Python's own clean-up.
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
            until_exit: keep the handlers until the process ends, because the block is all that it
                does. Otherwise the former handlers are restored.
            ends_process: whether a repeated signal, or one without a reaction, ends the process. A
                repeated signal raises KeyboardInterrupt otherwise, as in a notebook.
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
                # It broke because of the stop.
                raise Stopped(str(self.name), saved=False) from error
            raise
        finally:
            if self.name is None:
                self.phase = Phase.FINISHED
            if until_exit:  # Python drops its handlers early in its clean-up, but not this one
                atexit.register(self._set_all, signal.SIG_IGN)
            else:
                sys.unraisablehook = hook
                self._restore()

    def install(self) -> None:
        """Take the signals, also back from someone who took them later; in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._set_all(self._handle)
            if not self._active:
                self._active = True
                self._start_watchdog()

    def enter(self, phase: Phase) -> None:
        """Begin a phase.

        Raises:
            Stopped: a signal was noted before, and there is nothing to save now.
        """
        self.phase, self._since = phase, time.monotonic()
        if phase is Phase.ABORTABLE and self.name is not None:
            raise Stopped(self.name, saved=False)

    def end(self) -> NoReturn:
        """End this process now, and those that it has started."""
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
                _say(f"{name}: stopped at once.")
                self.end()
            return
        self._arrived[name] = now
        if self.name is not None or self.phase is Phase.FINISHED:
            return
        self.name, self._arrived_early = name, self._waits
        if self.phase is Phase.ABORTABLE:
            _say(f"{name}: stopping; there is nothing to save.")
            raise Stopped(name, saved=False)
        again = "; once more to stop at once" if name in REPEAT_SECONDS else ""
        if hasattr(signal, "SIGCHLD"):
            # A scheduler sends it to the workers of loaders too. When one ends, torch raises an
            # error in whatever line is executed, such as within the save.
            number = signal.SIGCHLD
            self._former.setdefault(number, signal.signal(number, lambda *_: None))
        how = "finishing the step and saving" if self.phase is Phase.TRAINING else "stopping soon"
        _say(f"{name}: {how}{again}.")

    def _set_all(self, handler: Any) -> None:
        for number in NUMBERS:
            self._former.setdefault(number, signal.signal(number, handler))

    def _restore(self) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)
        if self._active and os.name == "posix":
            os.close(signal.set_wakeup_fd(self._former_wakeup))  # which wakes the thread
        self._over.set()
        self._former, self._active = {}, False

    def _after_fork(self) -> None:
        """Leave the signals to the parent in a child, such as a worker of a data loader.

        Schedulers send them to all processes; a worker that dies of one ends the training.
        """
        if self._active:
            self._active = False
            signal.set_wakeup_fd(-1)
            for number in NUMBERS:
                ends = number == signal.SIGTERM  # what Process.terminate() sends
                signal.signal(number, signal.SIG_DFL if ends else signal.SIG_IGN)

    @property
    def ending(self) -> bool:
        """Whether a signal has arrived while there was nothing to save, and there still is not."""
        return self._arrived_early and self._waits

    @property
    def _waits(self) -> bool:
        return self.phase in (Phase.ABORTABLE, Phase.DEFERRED)

    # The thread that ends a process which does not react

    def _start_watchdog(self) -> None:
        """Let the C part of the signal handling, which waits for no Python code, wake a thread."""
        if os.name == "posix":
            reader, writer = os.pipe()
            os.set_blocking(writer, False)
            self._former_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, args=(reader, self._over), daemon=True).start()

    def _watch(self, reader: int, over: threading.Event) -> None:
        number = -1
        while number not in NUMBERS or self.phase is Phase.FINISHED:
            received = os.read(reader, 1)
            if not received:
                break
            number = received[0]
        self._since = max(self._since, time.monotonic())
        while not over.wait(0.1):
            if self.ends_process and self._waits and time.monotonic() - self._since > GRACE_SECONDS:
                self.name = signal.Signals(number).name
                _say(f"{self.name}: stopped without waiting any longer; there is nothing to save.")
                self.end()
        os.close(reader)


Hook = Callable[[Any], Any]


def _without_stops(inner: Hook) -> Hook:
    """Print nothing where Python must drop ``Stopped``, as in the callback of a weak reference."""

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, Stopped):
            inner(unraisable)

    return hook


stop_signals = StopSignals()
"""Those of this process; ``gdlightning.__main__`` has them handled for ``gdl fit``."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=stop_signals._after_fork)
