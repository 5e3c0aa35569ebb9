"""A whole training: to its run's checkpoint, through fit and test, to the last file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from gdlightning.callbacks.checkpoints import EXACT
from gdlightning.callbacks.guard import Rollback
from gdlightning.callbacks.stops import Stops
from gdlightning.callbacks.verdicts import Verdicts
from gdlightning.cli import trainer as trainers
from gdlightning.cli.assemble import Training, assemble
from gdlightning.cli.checkpoint import newest_whole, read_checkpoint, record_of
from gdlightning.cli.folder import FINISHED, remove_run, to_yaml
from gdlightning.cli.resume import Run, check_data
from gdlightning.data.module import DataModule
from gdlightning.diagnostics.diagnose import as_text
from gdlightning.diagnostics.verdict import Verdict
from gdlightning.errors import UserError
from gdlightning.storage.logs import trim
from gdlightning.storage.write import remove_leftovers, write_json, write_text


def train(training: Training, run: Run, stops: Stops) -> None:
    """Fit and test, going back to the last good checkpoint where the guard asks for it.

    Raises:
        UserError: the data is not that of the run, training diverged, or what Lightning finds
            wrong; a run that was never saved leaves nothing behind.
        OSError: the disk is full, or the like.
        Stopped: a stop was asked for.
    """
    logged = _prepare(training, run)
    checkpoint = run.checkpoint
    while True:
        try:
            trainer = trainers.build(training, run, stops)
            with stops.training(trainer):
                trainer.fit(
                    training.module,
                    datamodule=training.data,
                    ckpt_path=checkpoint,
                    weights_only=True,
                )
            break
        except Rollback as event:
            checkpoint = newest_whole(run.folder / "checkpoints")
            training = _rolled_back(training, run, checkpoint, event)
        except (UserError, MisconfigurationException) as error:
            own = isinstance(error, UserError)
            refused = type(error) is UserError or not own
            if refused and not list(run.folder.glob("checkpoints/*.ckpt")):
                remove_run(run.folder)
            if own:
                raise
            raise UserError(f"trainer: {str(error).strip().splitlines()[0]}") from error
    metrics = logged | {k: float(v) for k, v in trainer.callback_metrics.items()}
    if isinstance(training.data, DataModule) and len(training.data.rows.get("test", ())):
        test = trainer.test(training.module, datamodule=training.data, verbose=False)
        metrics |= {k: float(v) for row in test for k, v in row.items()}
    if trainer.is_global_zero:
        verdicts = _verdicts(trainer)
        trainers.log_final(trainer, training, metrics)
        with stops.finishing():
            write_json(run.folder / FINISHED, metrics)
        _report(run.folder, trainer.global_step, metrics, verdicts)


def _prepare(training: Training, run: Run) -> dict[str, float]:
    """Write the config, or bring a resumed run's folder to its checkpoint.

    Returns:
        The metrics of a resumed run so far; all of them, if it had come to its end.
    """
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
    write_text(run.folder / "config.yaml", to_yaml(training.config.values))
    return logged


def _rolled_back(
    training: Training, run: Run, checkpoint: Path | None, event: Rollback
) -> Training:
    """The training afresh, to go on from a checkpoint with one rollback more."""
    guard = training.optimization.guard
    again = assemble(training.config)
    again.rollbacks = (guard.rollbacks if guard else 0) + 1
    if trainers.first_rank():
        trim(run.folder, read_checkpoint(checkpoint)["global_step"] if checkpoint else 0)
        print(
            f"\n{event}\nRollback {again.rollbacks}: going back to {checkpoint or 'the start'} "
            "with a smaller learning rate and another order of the data.",
            file=sys.stderr,
        )
    return again


def _verdicts(trainer: L.Trainer) -> list[Verdict]:
    """What the monitor found, if there is one."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    found = (c.finish(trainer) for c in callbacks if isinstance(c, Verdicts))
    return next(found, [])


def _report(
    folder: Path, steps: int, metrics: dict[str, float], verdicts: Sequence[Verdict]
) -> None:
    shown = {k: v for k, v in metrics.items() if k.startswith("test_")} or metrics
    width = max((len(k) for k in shown), default=0)
    print(f"\nTrained for {steps:,} optimizer steps.")
    for name, value in shown.items():
        print(f"  {name.ljust(width)}  {value:.4g}")
    if verdicts:
        print(f"\n{as_text(verdicts)}\n")
    print(f"Run folder:  {folder}")
    print(f"Look at it:  tensorboard --logdir {folder.parent.parent}")
    print(f"Use it:      gdl predict {folder} --input FILE --output predictions.csv")
