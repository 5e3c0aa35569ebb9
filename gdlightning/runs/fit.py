"""Train and test a run in its run folder."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from gdlightning.config.schema import Config
from gdlightning.errors import StorageError, UserError
from gdlightning.runs.quiet import quiet
from gdlightning.runs.run_folder import remove_run, settle
from gdlightning.signals import Phase, Stopped, stop_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gdlightning.callbacks.stop_conditions import Stops
    from gdlightning.runs.build_run import Training
    from gdlightning.runs.resume import Run


class StoppedRun(SystemExit):
    """A run was stopped and saved; the exit code tells a scheduler to start it again.

    Attributes:
        reason: name of a signal, ``max_time`` or ``stop_after``.
        folder: run folder; it does not exist if no step was made.
    """

    def __init__(self, stop: Stopped, folder: Path) -> None:
        super().__init__(stop.code)
        self.reason, self.folder = stop.reason, folder


def fit(config: Config) -> tuple[Path, Training]:
    """Train and test. With ``quiet``, only errors and the run folder are printed.

    Returns:
        The run folder, and the objects of the run.

    Raises:
        UserError: if the config or the data is wrong, or the run cannot be resumed.
        StoppedRun: if training was stopped and saved.
    """
    if config.values["dry_run"]:
        raise UserError("dry_run is only supported by the command gdl fit.", key="dry_run")
    if not config.values["quiet"]:
        return _fit(config, sys.stdout)
    out = sys.stdout
    with (
        open(os.devnull, "w", encoding="utf-8") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        folder, training = _fit(config, out)
    from gdlightning.runs.trainer import first_rank

    if first_rank():
        print(f"Run folder:  {folder}")
    return folder, training


def assemble_with_notes(config: Config) -> Training:
    """Build what a run trains, and print notes about it.

    Raises:
        UserError: if data, model or optimizer cannot be used as configured.
    """
    from gdlightning.runs.build_run import assemble

    training = assemble(config)
    for entry in training.optimization.choice.entries:
        _print_notes(entry)
    for note in _notes(training):
        print(f"Note: {note}", file=sys.stderr)
    if config.note:
        print(f"Note: {config.note}", file=sys.stderr)
    return training


def _fit(config: Config, out: TextIO) -> tuple[Path, Training]:
    """Train and test; where it was stopped is printed to ``out``."""
    from gdlightning.callbacks.stop_conditions import Stops, seconds_of
    from gdlightning.runs import trainer as trainers
    from gdlightning.runs.disk_errors import disk_errors
    from gdlightning.runs.resume import open_run
    from gdlightning.runs.train import train

    quiet()
    limit = seconds_of(config.values["max_time"])
    training = assemble_with_notes(config)
    stops = Stops(limit, config.values["stop_after"])
    trainer = trainers.build(training, stops)
    stop_signals.enter(Phase.DEFERRED)  # until the cleanup knows of the new folder
    with open_run(config, trainers.first_rank()) as run:
        discard = functools.partial(_discard, run, stops)
        stop_signals.cleanups.append(discard)
        try:
            stop_signals.enter(Phase.ABORTABLE)
            with disk_errors(run.folder):
                training = train(training, trainer, run, stops)
        except Stopped as stop:
            discard()
            _say_stopped(stop, run.folder, config, out)
            raise StoppedRun(stop, run.folder) from None
        except StorageError:
            discard()
            raise
        stop_signals.enter(Phase.FINISHED)
        return run.folder, training


def _discard(run: Run, stops: Stops) -> None:
    """Remove the folder of a new run that was stopped before its first step."""
    from gdlightning.runs.trainer import first_rank

    if first_rank() and not stops.begun:
        remove_run(run.made)
        if run.replaced is not None:
            settle(run.folder, run.replaced)


def _say_stopped(stop: Stopped, folder: Path, config: Config, out: TextIO) -> None:
    from gdlightning.runs.trainer import first_rank

    if not first_rank():
        return
    if not folder.is_dir():
        print(f"Stopped by {stop.reason} before the first step; nothing was written.", file=out)
        return
    saved = "saved" if list(folder.glob("checkpoints/*.ckpt")) else "nothing saved"
    print(f"\nStopped by {stop.reason}, {saved}. Run folder:  {folder}", file=out)
    if stop.__cause__ is not None:
        first = str(stop.__cause__).strip().split("\n")[0]
        print(f"Steps since the last checkpoint must be repeated: {first}", file=out)
    if config.objects:
        print(
            f"Resume it:   gdl.fit(..., resume={str(folder)!r}) with the same Python objects",
            file=out,
        )
    else:
        print(f"Resume it:   gdl fit --resume {folder}", file=out)


def _notes(training: Training) -> Iterator[str]:
    """Yield what a user should know about the optimizers of their own module."""
    from gdlightning.engine.module_optimization import has_optimizers
    from gdlightning.optimizers.registry import MODULE

    module, chosen = training.module, training.optimization.choice.entry
    cls = type(module).__name__
    if chosen is not MODULE and has_optimizers(module):
        yield f"{cls}.configure_optimizers is replaced by the optimizer {chosen.name}."
    if not module.automatic_optimization and training.config.values["guard"]["policy"] != "off":
        yield f"{cls} uses manual optimization: the guard does not check its steps."


def _print_notes(entry: Any) -> None:
    """Print notes about an optimizer: poor defaults, and a non-commercial licence."""
    if "learns" in entry.cannot:
        print(
            f"Note: {entry.name} barely learns with default settings: {entry.cannot['learns']}.",
            file=sys.stderr,
        )
    if not entry.commercial:
        print(
            f"Note: {entry.name} is under {entry.licence}, which forbids commercial use.",
            file=sys.stderr,
        )
