"""The command ``gdl``: a verb, chosen before anything heavy is imported."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import re
import sys

from gdlightning.errors import UserError, did_you_mean
from gdlightning.signals import Stopped, stop_signals
from gdlightning.streams import drop_failed_output, open_missing

VERBS = {
    "fit": "train a model: gdl fit --config FILE [--optimizer NAME] [--KEY VALUE ...]",
    "lr-find": "a learning rate for a config, by a range test: gdl lr-find --config FILE [--apply]",
    "diagnose": "what is wrong with a training, in words: gdl diagnose RUN [--png FILE]",
    "predict": "predictions for new data: gdl predict RUN --input FILE --output FILE",
    "export": "weights or computation in one file: gdl export RUN --output FILE.safetensors",
    "test": "metrics of a run on its test split: gdl test RUN",
    "compare": "which optimizer, with evidence: gdl compare --config FILE --optimizers adamw,sgd",
    "recommend": "optimizer, lr, schedule for a task, with reasons: gdl recommend --config FILE",
    "curvature": "spectrum of a run's Hessian, λ·lr beside the stability limit: gdl curvature RUN",
    "optimizers": "list optimizers, or explain one: gdl optimizers [PATTERN | show NAME]",
    "schedules": "list and draw learning-rate schedules: gdl schedules [PATTERN] [--png FILE]",
    "landscape": "the loss around a trained network, to be turned: gdl landscape RUN",
    "paths": "optimizers race on a test function: gdl paths rosenbrock --optimizers adam,sgd",
    "lab": "the claims of gradient descent, measured: gdl lab run edge-of-stability",
    "list": "list what can be named in a config: gdl list model|net|data|clip|callback",
    "new": "write a starter of one's own: gdl new task|optimizer|data NAME",
}


def main(argv: list[str] | None = None) -> int:
    """Run a verb; return 2 for what the user can fix.

    Args:
        argv: the verb and its arguments; those of the process, which is then ours until its end, if
            None.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        open_missing()
    debug = "--debug" in arguments[1:]
    try:
        with _handled(arguments, until_exit=argv is None):
            return _run(arguments)
    except UserError as error:
        if debug:
            raise
        print(f"error: {_short(str(error))}", file=sys.stderr)
        return error.code
    except (MemoryError, RuntimeError) as error:
        words = _out_of_memory(error)
        if debug or not words:
            raise
        print(f"error: {words}", file=sys.stderr)
        return UserError.code
    except Stopped as stop:
        return stop.code
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning ends with 1 after it
            return 130
        raise
    except BrokenPipeError:  # the reader, e.g. head, has seen enough
        if arguments[0] == "fit":  # of another pipe: those of its output are dropped
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _handled(arguments: list[str], until_exit: bool) -> contextlib.AbstractContextManager[None]:
    """Let nothing end a training but what it is documented to end by; leave other verbs alone."""
    if arguments[:1] != ["fit"]:
        return contextlib.nullcontext()
    if until_exit:
        drop_failed_output()
        atexit.register(_forget_cycles)
    return stop_signals.handled(until_exit)


def _forget_cycles() -> None:
    """Collect garbage once; Python would do so several times at exit, a second with torch."""
    gc.collect()
    gc.freeze()


def _run(arguments: list[str]) -> int:
    """Run a verb.

    Raises:
        UserError: there is no such verb, or the verb says what is wrong.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(version("gdlightning"))
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        raise UserError(f"There is no verb {verb}.{did_you_mean(verb, VERBS)}\n{_verbs()}")
    if os.getcwd() not in sys.path:  # one's own modules, named in a config
        sys.path.insert(0, os.getcwd())
    run = importlib.import_module(f"gdlightning.cli.{verb.replace('-', '_')}").main
    code: int = run([a for a in rest if a != "--debug"])
    return code


def _out_of_memory(error: BaseException) -> str:
    """What to say of a lack of memory; empty for any other error."""
    text = str(error)
    asked = re.search(r"tried to allocate (\d+) bytes|Tried to allocate ([\d.]+ \w+)", text)
    if not (isinstance(error, MemoryError) or asked):
        return ""
    size = asked.group(2) or f"{int(asked.group(1)) / 2**30:,.1f} GiB" if asked else ""
    wanted = f" {size} was asked for." if size else ""
    return (
        f"There is not enough memory.{wanted}\n"
        "A smaller data.batch_size, data.micro_batch_size or net needs less."
    )


def _short(message: str, lines: int = 5, width: int = 300) -> str:
    """A message in a few lines that a terminal can show, whatever values it quotes."""
    kept = message.splitlines()
    if len(kept) > lines:
        kept = [*kept[: lines - 2], "…", kept[-1]]
    cut = [line if len(line) <= width else f"{line[: width - 2]} …" for line in kept]
    clean = "\n".join("".join(c if c.isprintable() else "\ufffd" for c in line) for line in cut)
    return clean.encode(sys.stderr.encoding or "utf-8", "replace").decode(
        sys.stderr.encoding or "utf-8"
    )


def _verbs() -> str:
    return "Verbs: " + ", ".join(VERBS)


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb.ljust(width)}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "gdl: train any PyTorch model with any optimizer.",
            "",
            *lines,
            "",
            "gdl VERB --help explains a verb; --debug shows the traceback of an error.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
