"""Run ``gdl`` in forks of a process that has already imported torch and Lightning.

Uses the fork server of the standard library. Each command has its own process, folder, environment
and exit code, and starts within milliseconds instead of seconds.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

HERE = str(Path(__file__).parent)
ROOT = str(Path(__file__).parent.parent.parent)
PATIENCE = 300.0
"""Time limit of a command in seconds, generous for a busy machine."""
TIMED_OUT = "timed out"
PRELOADED = (
    "torch",
    "torch._dynamo",
    "torchmetrics",
    "lightning.pytorch",
    "jsonargparse",
    "pandas",
    "sklearn.preprocessing",
    "torch.utils.tensorboard",
    "pytorch_optimizer",
    "gdlightning.__main__",
    "gdlightning.cli.fit",
    "gdlightning.runs.train",
    "gdlightning.runs.trainer",
    "gdlightning.runs.resume",
    "gdlightning.runs.build_run",
    "gdlightning.cli.list",
)
"""Modules that most commands import; a missing one is skipped."""

Setup = Callable[[], None]

_lock = threading.Lock()
"""Held while a process is started or its exit code is read, which multiprocessing does not lock."""


def prepare() -> None:
    """Set up the fork server, with this tree's gdlightning, before any process is started."""
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    os.environ["PYTHONPATH"] = os.pathsep.join([HERE, ROOT, *before])
    sys.path.insert(0, ROOT)
    multiprocessing.set_forkserver_preload(["__main__", *PRELOADED])


def start(
    argv: Sequence[str],
    cwd: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    setup: Setup | None = None,
) -> BaseProcess:
    """Start ``gdl ARGV`` in a session of its own.

    Args:
        argv: arguments after ``gdl``.
        cwd: working directory, from which the user's modules are imported.
        log: file to which stdout and stderr are appended.
        env: additional environment variables.
        setup: called in the process before the command; a function of a module.
    """
    arguments = (list(argv), str(cwd.absolute()), str(log.absolute()), dict(env or {}), setup)
    process = multiprocessing.get_context("forkserver").Process(target=_command, args=arguments)
    with _lock:
        process.start()
    return process


def finish(process: BaseProcess, timeout: float = PATIENCE) -> int:
    """Return the exit code of a process; minus the signal's number where a signal ended it.

    Raises:
        TimeoutError: it took longer than ``timeout`` seconds, and was killed.
    """
    in_time = bool(wait([process.sentinel], timeout))
    if not in_time and process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        wait([process.sentinel])
    with _lock:
        process.join()
    if not in_time:
        raise TimeoutError(TIMED_OUT)
    assert process.exitcode is not None
    return process.exitcode


def run(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = PATIENCE,
    setup: Setup | None = None,
) -> tuple[int, str]:
    """Run ``gdl ARGV`` to its end; its exit code and its output.

    All output is also appended to ``CWD/../CWD.log``, together with the command.

    Raises:
        TimeoutError: it took longer than ``timeout`` seconds, and was killed.
    """
    log = cwd.with_name(f"{cwd.name}.log")
    with log.open("a") as stream:
        stream.write(f"$ gdl {' '.join(argv)}  # {dict(env or {})}\n")
    size = log.stat().st_size
    code = finish(start(argv, cwd, log, env, setup), timeout)
    output = log.read_bytes()[size:].decode(errors="replace")
    with log.open("a") as stream:
        stream.write(f"exit code {code}\n")
    return code, output


def _command(argv: list[str], cwd: str, log: str, env: dict[str, str], setup: Setup | None) -> None:
    os.setsid()
    multiprocessing.set_start_method(None, force=True)  # for the command's own workers
    os.chdir(cwd)
    os.environ |= env
    sys.path[:] = [cwd, *(p for p in sys.path if p != HERE)]
    sys.argv = ["gdl", *argv]
    with open(log, "ab") as stream, open(os.devnull) as nothing:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        os.dup2(nothing.fileno(), 0)
    code = 1
    try:
        if setup is not None:
            setup()
        from gdlightning.__main__ import main

        code = main(argv)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
