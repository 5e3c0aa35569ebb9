"""``gdl fit``: train, then test, and leave a run folder."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.cli.config import Config, load
from gdlightning.cli.parse import located
from gdlightning.errors import StorageError, UserError

if TYPE_CHECKING:
    from gdlightning.callbacks.stops import Stopped, Stops
    from gdlightning.cli.assemble import Training
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
        from gdlightning.cli.folder import to_yaml

        print(to_yaml(config.values), end="")
        return 0
    try:
        fit(config)
    except UserError as error:
        raise located(error, config.given) from error
    return 0


def _with_own_config(argv: list[str]) -> list[str]:
    """``gdl fit --resume RUN`` alone reads the config of that run."""
    given = [a.partition("=")[0] for a in argv]
    if "--resume" not in given or "--config" in given or "--model" in given:
        return argv
    position = given.index("--resume")
    where = argv[position].partition("=")[2] or "".join(argv[position + 1 : position + 2])
    folder = Path(where).parent.parent if where.endswith(".ckpt") else Path(where)
    if where == "auto" or not (folder / "config.yaml").is_file():
        return argv
    return ["--config", str(folder / "config.yaml"), *argv]


def fit(config: Config) -> Path:
    """Train and test; returns the run folder.

    Raises:
        UserError: whatever is wrong with the config, the data, or a run that is to be resumed.
        SystemExit: training was stopped and saved; its code tells a scheduler to start it again.
    """
    from gdlightning.callbacks.stops import Stopped, Stops, seconds_of
    from gdlightning.cli import trainer as trainers
    from gdlightning.cli.assemble import assemble
    from gdlightning.cli.resume import open_run

    quiet()
    limit = seconds_of(config.values["max_time"])
    training = assemble(config)
    _licence(training.optimization.choice.entry)
    trainers.check(training)
    stops = Stops(limit)
    with open_run(config, trainers.first_rank()) as run:
        stops.install()
        try:
            _train(training, run, stops, _prepare(run, config, training))
        except Stopped as stop:
            _say_stopped(stop, run.folder)
            raise SystemExit(stop.code) from None
        finally:
            stops.remove()
        return run.folder


def _prepare(run: Run, config: Config, training: Training) -> dict[str, float]:
    """Write the config, or bring a resumed run's folder to its checkpoint; the metrics there."""
    from gdlightning.callbacks.checkpoints import EXACT
    from gdlightning.cli import trainer as trainers
    from gdlightning.cli.checkpoint import read_checkpoint, record_of
    from gdlightning.cli.folder import FINISHED, to_yaml
    from gdlightning.cli.resume import check_data
    from gdlightning.storage.logs import trim
    from gdlightning.storage.write import remove_leftovers, write_text

    step, logged = 0, {}
    if run.checkpoint is not None:
        content = read_checkpoint(run.checkpoint)
        check_data(record_of(content, run.checkpoint), trainers.record(training), run.folder)
        step, logged = content["global_step"], content.get(EXACT, {}).get("logged", {})
    if not trainers.first_rank():
        return logged
    if run.resumed:
        remove_leftovers(run.folder)
        remove_leftovers(run.folder / "checkpoints")
        (run.folder / FINISHED).unlink(missing_ok=True)
        trim(run.folder, step)
        print(f"Going on with {run.folder} from step {step:,}.")
    write_text(run.folder / "config.yaml", to_yaml(config.values))
    return logged


def _train(training: Training, run: Run, stops: Stops, logged: dict[str, float]) -> None:
    """Fit and test, going back to the last good checkpoint where the guard asks for it.

    Args:
        training: what is trained.
        run: where.
        stops: reasons to stop.
        logged: the metrics of a resumed run so far; all of them, if it had come to its end.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from gdlightning.callbacks.guard import Rollback
    from gdlightning.cli import trainer as trainers
    from gdlightning.cli.assemble import assemble
    from gdlightning.cli.checkpoint import newest_whole
    from gdlightning.cli.folder import FINISHED, remove_run
    from gdlightning.storage.write import write_json

    checkpoint = run.checkpoint
    while True:
        try:
            trainer = trainers.build(training, run, stops)
            trainer.fit(
                training.module,
                datamodule=training.data,
                ckpt_path=checkpoint,
                weights_only=True,
            )
            break
        except Rollback as event:
            checkpoint = newest_whole(run.folder / "checkpoints")
            count = training.optimization.guard.rollbacks + 1 if training.optimization.guard else 1
            training = assemble(training.config)
            training.rollbacks = count
            print(
                f"\n{event}\nRollback {count}: going back to {checkpoint or 'the start'} with a "
                "smaller learning rate and another order of the data.",
                file=sys.stderr,
            )
        except (UserError, MisconfigurationException) as error:
            own = isinstance(error, UserError)
            refused = type(error) is UserError or not own
            if refused and not list(run.folder.glob("checkpoints/*.ckpt")):
                remove_run(run.folder)
            if own:
                raise
            raise UserError(f"trainer: {str(error).strip().splitlines()[0]}") from error
        except OSError as error:  # of loggers, on a full disk
            raise StorageError(f"{error.filename or run.folder}: {error.strerror}.") from error
    metrics = logged | {k: float(v) for k, v in trainer.callback_metrics.items()}
    if _has_test(training.data):
        test = trainer.test(training.module, datamodule=training.data, verbose=False)
        metrics |= {k: float(v) for row in test for k, v in row.items()}
    if trainer.is_global_zero:
        trainers.log_final(trainer, training, metrics)
        write_json(run.folder / FINISHED, metrics)
        _report(run.folder, trainer.global_step, metrics)


def _say_stopped(stop: Stopped, folder: Path) -> None:
    from gdlightning.cli.trainer import first_rank

    if not first_rank():
        return
    saved = "saved" if list(folder.glob("checkpoints/*.ckpt")) else "nothing saved"
    print(f"\nStopped by {stop.reason}, {saved}. Run folder:  {folder}")
    print(f"Go on with:  gdl fit --resume {folder}")


def _has_test(data: Any) -> bool:
    from gdlightning.data.module import DataModule

    return isinstance(data, DataModule) and len(data.rows.get("test", ())) > 0


def _licence(entry: Any) -> None:
    if not entry.commercial:
        print(
            f"Note: {entry.name} is under {entry.licence}, which forbids commercial use.",
            file=sys.stderr,
        )


def _report(folder: Path, steps: int, metrics: dict[str, float]) -> None:
    shown = {k: v for k, v in metrics.items() if k.startswith("test_")} or metrics
    width = max((len(k) for k in shown), default=0)
    print(f"\nTrained for {steps:,} optimizer steps.")
    for name, value in shown.items():
        print(f"  {name.ljust(width)}  {value:.4g}")
    print(f"Run folder:  {folder}")
    print(f"Look at it:  tensorboard --logdir {folder.parent.parent}")
    print(f"Use it:      gdl predict {folder} --input FILE --output predictions.csv")


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
        ".*Using backward\\(\\) with create_graph=True.*",
    ):
        warnings.filterwarnings("ignore", message)
