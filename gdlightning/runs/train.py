"""A whole training: to its run's checkpoint, through fit and test, to the last file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from gdlightning.callbacks.checkpoints import EXACT
from gdlightning.callbacks.patience import Patience
from gdlightning.callbacks.stop_conditions import Stops
from gdlightning.callbacks.verdicts import Verdicts
from gdlightning.config.trainer_errors import trainer_error
from gdlightning.data.data_module import DataModule
from gdlightning.diagnostics.diagnose import as_text
from gdlightning.diagnostics.verdict import Verdict
from gdlightning.engine.divergence_guard import Rollback
from gdlightning.errors import UserError
from gdlightning.runs import trainer as trainers
from gdlightning.runs.build_run import Training, assemble
from gdlightning.runs.find_checkpoint import newest_whole, read_checkpoint, record_of
from gdlightning.runs.resume import Run, check_data
from gdlightning.runs.resume_changes import changed_options, check_parts, longer_schedule
from gdlightning.runs.run_folder import FINISHED, remove_run, to_yaml
from gdlightning.runs.run_start import RunStart
from gdlightning.storage.atomic_write import write_json, write_text


def train(training: Training, run: Run, stops: Stops) -> None:
    """Fit and test, going back to the last good checkpoint where the guard asks for it.

    Raises:
        UserError: the data is not that of the run, training diverged, or what Lightning finds
            wrong; a run that was never saved leaves nothing behind.
        OSError: the disk is full, or the like.
        Stopped: a stop was asked for.
    """
    start, logged = _prepare(training, run, run.checkpoint)
    checkpoint = run.checkpoint
    while True:
        try:
            trainer = trainers.build(training, run, stops, start)
            with stops.training(trainer):
                trainer.fit(
                    training.module,
                    datamodule=training.data,
                    ckpt_path=checkpoint,
                    weights_only=True,
                )
            start(trainer)  # where nothing was left to train
            break
        except Rollback as event:
            checkpoint = newest_whole(run.folder / "checkpoints")
            training = _rolled_back(training, checkpoint, event)
            start = replace(start, goes_back=None, log_ends=_log_ends(checkpoint))
        except (UserError, MisconfigurationException) as error:
            start.undo()
            own = isinstance(error, UserError)
            refused = type(error) is UserError or not own
            if refused and not list(run.folder.glob("checkpoints/*.ckpt")):
                remove_run(run.made)
            if own:
                raise
            raise trainer_error(error, training.config.given) from error
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            start.undo()
            if not run.resumed or start.began:
                raise
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(
                f"resume: {run.folder} cannot be continued with this config and data: "
                f"{type(error).__name__}: {first}\nIts folder is unchanged. Add --debug to see "
                "where this comes from.",
                key="resume",
            ) from error
        except BaseException:
            start.undo()
            raise
    metrics = logged | {k: float(v) for k, v in trainer.callback_metrics.items()}
    if isinstance(training.data, DataModule) and len(training.data.rows.get("test", ())):
        test = trainer.test(training.module, datamodule=training.data, verbose=False)
        metrics |= {k: float(v) for row in test for k, v in row.items()}
    if trainer.is_global_zero:
        verdicts = _verdicts(trainer)
        trainers.log_final(trainer, training, metrics)
        with stops.finishing():
            write_json(run.folder / FINISHED, metrics)
        _report(run.folder, trainer, metrics, verdicts)


def _prepare(
    training: Training, run: Run, checkpoint: Path | None
) -> tuple[RunStart, dict[str, float]]:
    """Write a new run's config, or check that a checkpoint can be continued from.

    Returns:
        What is done when the first step is about to be made, and the metrics of a resumed run so
        far; all of them, if it had come to its end.

    Raises:
        UserError: Data, model or optimizer are not those of the checkpoint.
    """
    config, logged, step = to_yaml(training.config.values), {}, 0
    changes: list[Callable[[L.Trainer], None]] = []
    if checkpoint is not None:
        content = read_checkpoint(checkpoint)
        record = record_of(content, checkpoint)
        check_data(record, trainers.record(training), run.folder)
        check_parts(record, content, training)
        changes = [changed_options(record, training)]
        if run.longer:
            changes.append(longer_schedule(run.longer, content, training))
        step, logged = content["global_step"], content.get(EXACT, {}).get("logged", {})
    if trainers.first_rank() and run.resumed:
        print(f"Resuming {run.folder} from step {step:,}.")
    elif trainers.first_rank():
        write_text(run.folder / "config.yaml", config)
    start = RunStart(
        run,
        config,
        trainers.hyper_parameters(training),
        checkpoint if run.named else None,
        training.config.values["checkpoint"]["keep"],
        _log_ends(checkpoint),
        changes,
    )
    return start, logged


def _log_ends(checkpoint: Path | None) -> dict[str, int]:
    """Return where the logs ended when a checkpoint was written; empty for the start of a run."""
    if checkpoint is None:
        return {}
    ranks = read_checkpoint(checkpoint).get(EXACT, {}).get("ranks", [{}])
    ends: dict[str, int] = ranks[0].get("log_ends", {})
    return ends


def _rolled_back(training: Training, checkpoint: Path | None, event: Rollback) -> Training:
    """The training afresh, to go on from a checkpoint with one rollback more."""
    guard = training.optimization.guard
    again = assemble(training.config)
    again.rollbacks = (guard.rollbacks if guard else 0) + 1
    if trainers.first_rank():
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
    folder: Path, trainer: L.Trainer, metrics: dict[str, float], verdicts: Sequence[Verdict]
) -> None:
    shown = {k: v for k, v in metrics.items() if k.startswith("test_")} or metrics
    width = max((len(k) for k in shown), default=0)
    print(f"\nTrained for {trainer.global_step:,} optimizer steps.")
    callback = trainer.early_stopping_callback
    if isinstance(callback, Patience) and (text := callback.summary()):
        print(text)
    for name, value in shown.items():
        print(f"  {name.ljust(width)}  {value:.4g}")
    if verdicts:
        print(f"\n{as_text(verdicts)}\n")
    print(f"Run folder:  {folder}")
    print(f"Look at it:  tensorboard --logdir {folder.parent.parent}")
    print(f"Use it:      gdl predict {folder} --input FILE --output predictions.csv")
