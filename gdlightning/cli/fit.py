"""``gdl fit``: train, then test, and leave a run folder."""

from __future__ import annotations

import functools
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.cli.config import Config, load
from gdlightning.cli.expand import expand
from gdlightning.cli.folder import CONFIG, named_run, remove_run, settle, to_yaml
from gdlightning.cli.parse import located
from gdlightning.errors import StorageError, UserError
from gdlightning.signals import Phase, Stopped, stop_signals

if TYPE_CHECKING:
    from gdlightning.callbacks.stops import Stops
    from gdlightning.cli.resume import Run


def main(argv: list[str]) -> int:
    """Train what the config and flags describe.

    Raises:
        UserError: whatever is wrong with them, before anything is written.
    """
    if set(argv) & {"--help", "-h"} or any(a.partition("=")[0].endswith(".help") for a in argv):
        from gdlightning.cli.help import show

        return show(argv)
    config, switches = load(_with_own_config(argv))
    if switches.get("print_config"):
        print(to_yaml(config.values), end="")
        return 0
    try:
        if config.values["check_resume"] is not None:
            from gdlightning.cli.check_resume import check_resume

            return check_resume(config, config.values["check_resume"])
        fit(config)
    except UserError as error:
        raise located(error, config.given) from error
    return 0


def _with_own_config(argv: list[str]) -> list[str]:
    """Read the run's own config for ``gdl fit --resume RUN`` alone.

    Raises:
        UserError: there is no such run.
    """
    given = [a.partition("=")[0] for a in argv]
    if "--resume" not in given or "--config" in given or "--model" in given:
        return argv
    position = given.index("--resume")
    where = argv[position].partition("=")[2] or "".join(argv[position + 1 : position + 2])
    if where == "auto" or not where or where.startswith("--"):
        return argv
    folder = named_run(Path(expand(where, "resume")))
    return ["--config", str(folder / CONFIG), *argv]


def fit(config: Config) -> Path:
    """Train and test; returns the run folder.

    Raises:
        UserError: whatever is wrong with the config, the data, or a run that is to be resumed.
        SystemExit: training was stopped and saved; its code tells a scheduler to start it again.
    """
    from gdlightning.callbacks.stops import Stops, seconds_of
    from gdlightning.cli import trainer as trainers
    from gdlightning.cli.assemble import assemble
    from gdlightning.cli.disk import disk_errors
    from gdlightning.cli.resume import open_run
    from gdlightning.cli.train import train

    quiet()
    limit = seconds_of(config.values["max_time"])
    training = assemble(config)
    for entry in training.optimization.choice.entries:
        _tell(entry)
    if config.note:
        print(f"Note: {config.note}", file=sys.stderr)
    trainers.check(training)
    stops = Stops(limit, config.values["stop_after"])
    stop_signals.enter(Phase.DEFERRED)  # a folder that is made is known below
    with open_run(config, trainers.first_rank()) as run:
        discard = functools.partial(_discard, run, stops)
        stop_signals.cleanups.append(discard)
        try:
            stop_signals.enter(Phase.ABORTABLE)
            with disk_errors(run.folder):
                train(training, run, stops)
        except Stopped as stop:
            discard()
            _say_stopped(stop, run.folder)
            raise SystemExit(stop.code) from None
        except StorageError:
            discard()
            raise
        stop_signals.enter(Phase.FINISHED)
        return run.folder


def _discard(run: Run, stops: Stops) -> None:
    """Remove the folder of a new run that has not made a step."""
    from gdlightning.cli.trainer import first_rank

    if first_rank() and not stops.begun:
        remove_run(run.made)
        if run.replaced is not None:
            settle(run.folder, run.replaced)


def _say_stopped(stop: Stopped, folder: Path) -> None:
    from gdlightning.cli.trainer import first_rank

    if not first_rank():
        return
    if not folder.is_dir():
        print(f"Stopped by {stop.reason} before the first step; nothing was written.")
        return
    saved = "saved" if list(folder.glob("checkpoints/*.ckpt")) else "nothing saved"
    print(f"\nStopped by {stop.reason}, {saved}. Run folder:  {folder}")
    if stop.__cause__ is not None:
        first = str(stop.__cause__).strip().split("\n")[0]
        print(f"Steps since the last checkpoint have to be made again: {first}")
    print(f"Go on with:  gdl fit --resume {folder}")


def _tell(entry: Any) -> None:
    """What a person should know of an optimizer before its training."""
    if "learns" in entry.cannot:
        print(
            f"Note: {entry.name} learns little at its defaults: {entry.cannot['learns']}.",
            file=sys.stderr,
        )
    if not entry.commercial:
        print(
            f"Note: {entry.name} is under {entry.licence}, which forbids commercial use.",
            file=sys.stderr,
        )


def quiet() -> None:
    """Silence what Lightning says of things that are as they should be here."""
    import logging

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*number of training batches.*",
        ".*is smaller than the logging interval.*",
        ".*treespec.*",
        ".*LeafSpec.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*GPU available but not used.*",
        ".*No positive samples.*",
        ".*No negative samples.*",
        ".*Experiment logs directory.*exists and is not empty.*",
        ".*Sparse invariant checks.*",
        ".*lr_scheduler.step\\(\\)` before `optimizer.step.*",  # a first step was dropped
        ".*It is recommended to use `self.log.*sync_dist.*",
        ".*max_lr was not set.*",  # heavyball's, which takes the present one
        ".*Using backward\\(\\) with create_graph=True.*",
    ):
        warnings.filterwarnings("ignore", message)
