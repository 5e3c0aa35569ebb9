"""The command ``gdl``: choose a verb before anything slow is imported."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import re
import sys

from gdlightning.cli import run_verb
from gdlightning.errors import UserError
from gdlightning.signals import Stopped, stop_signals
from gdlightning.streams import drop_failed_output, open_missing


def main(argv: list[str] | None = None) -> int:
    """Run a verb and return its exit code.

    Args:
        argv: the verb and its arguments. If None, those of the process; streams and signals are
            then handled until the process ends.

    Returns:
        The exit code: 2 for a mistake that the user can fix.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        open_missing()
    debug = "--debug" in arguments[1:]
    try:
        with _signals_handled(arguments, until_exit=argv is None):
            return _run(arguments)
    except UserError as error:
        if debug:
            raise
        print(f"error: {_short(str(error))}", file=sys.stderr)
        return error.code
    except (MemoryError, RuntimeError) as error:
        message = _out_of_memory(error)
        if debug or not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        return UserError.code
    except Stopped as stop:
        return stop.code
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning ends with 1 after it
            return 130
        raise
    except BrokenPipeError:  # the reader of the output, e.g. head, has exited
        if arguments[0] == "fit":  # another pipe: failures of the output are dropped
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _signals_handled(
    arguments: list[str], until_exit: bool
) -> contextlib.AbstractContextManager[None]:
    """Handle stop signals and failing output of ``gdl fit``; do nothing for other verbs."""
    if arguments[:1] != ["fit"]:
        return contextlib.nullcontext()
    if until_exit:
        drop_failed_output()
        atexit.register(_collect_once)
    return stop_signals.handled(until_exit)


def _collect_once() -> None:
    """Collect garbage once at exit; Python would do so several times (1 s with torch)."""
    gc.collect()
    gc.freeze()


def _run(arguments: list[str]) -> int:
    """Run a verb, or print the version or the help.

    Raises:
        UserError: there is no such verb, or the verb raises an error.
    """
    first, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    if first == "--version":
        from importlib.metadata import version

        print(version("gdlightning"))
        return 0
    if first in ("-h", "--help"):
        first = "help"
    return run_verb(first, [a for a in rest if a != "--debug"])


def _out_of_memory(error: BaseException) -> str:
    """Return the message for an out-of-memory error; empty for any other error."""
    text = str(error)
    asked = re.search(r"tried to allocate (\d+) bytes|Tried to allocate ([\d.]+ \w+)", text)
    if not (isinstance(error, MemoryError) or asked):
        return ""
    size = asked.group(2) or f"{int(asked.group(1)) / 2**30:,.1f} GiB" if asked else ""
    requested = f" {size} was requested." if size else ""
    return (
        f"Out of memory.{requested}\n"
        "Reduce data.batch_size, data.micro_batch_size or the size of the network."
    )


def _short(message: str, lines: int = 5, width: int = 300) -> str:
    """Shorten a message to a few printable lines."""
    kept = message.splitlines()
    if len(kept) > lines:
        kept = [*kept[: lines - 2], "…", kept[-1]]
    cut = [line if len(line) <= width else f"{line[: width - 2]} …" for line in kept]
    clean = "\n".join("".join(c if c.isprintable() else "\ufffd" for c in line) for line in cut)
    return clean.encode(sys.stderr.encoding or "utf-8", "replace").decode(
        sys.stderr.encoding or "utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
