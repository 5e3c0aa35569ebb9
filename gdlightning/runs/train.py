"""Train and test a run: from its checkpoint, if it has one, to the final report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from gdlightning.callbacks.checkpoints import EXACT, Checkpoints
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
from gdlightning.runs.diagnose_run import nothing_found
from gdlightning.runs.find_checkpoint import newest_whole, read_checkpoint, record_of
from gdlightning.runs.predict_run import predict_hint
from gdlightning.runs.resume import Run, check_data
from gdlightning.runs.resume_changes import changed_options, check_parts, longer_schedule
from gdlightning.runs.run_folder import FINISHED, remove_run, to_yaml
from gdlightning.runs.run_start import RunStart
from gdlightning.storage.atomic_write import write_json, write_text


def train(training: Training, trainer: L.Trainer, run: Run, stops: Stops) -> Training:
    """Fit and test, and restart from the last good checkpoint when the guard requests a rollback.

    Args:
        training: the run's module, data and optimization.
        trainer: the return value of ``runs.trainer.build``.
        run: the run folder; it is removed after an error if nothing was saved.
        stops: reasons to stop.

    Returns:
        The training, which is another object after a rollback.

    Raises:
        UserError: if the data is not that of the run, training diverged, or Lightning found an
            error in the settings.
        OSError: if a file cannot be written, for example because the disk is full.
        Stopped: if a stop was requested.
    """
    start, logged = _prepare(training, trainer, run)
    checkpoint = run.checkpoint
    while True:
        try:
            trainers.attach_run(trainer, training, run.folder, start)
            with stops.training(trainer):
                trainer.fit(
                    training.module,
                    datamodule=training.data,
                    ckpt_path=checkpoint,
                    weights_only=True,
                )
            if not start.began:  # nothing was left to train, so that last.ckpt was not saved
                start.goes_back = checkpoint
                start(trainer)
            break
        except Rollback as event:
            checkpoint = newest_whole(run.folder / "checkpoints")
            training = _rolled_back(training, checkpoint, event)
            trainer = trainers.build(training, stops)
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
    _finish(training, trainer, run.folder, stops, logged)
    return training


def _finish(
    training: Training, trainer: L.Trainer, folder: Path, stops: Stops, logged: dict[str, float]
) -> None:
    """Evaluate the test split, write the final files and print the report.

    Args:
        training: the run's module, data and optimization.
        trainer: the Trainer that has fitted the module.
        folder: the run folder.
        stops: reasons to stop, which are ignored while the last file is written.
        logged: metrics that the run had logged when it was resumed.
    """
    best = None
    metrics = logged | {k: float(v) for k, v in trainer.callback_metrics.items()}
    if isinstance(training.data, DataModule) and len(training.data.rows.get("test", ())):
        best = _best_path(trainer)
        test = trainer.test(
            training.module,
            datamodule=training.data,
            verbose=False,
            ckpt_path=best,
            weights_only=True,
        )
        metrics |= {k: float(v) for row in test for k, v in row.items()}
    if trainer.is_global_zero:
        verdicts, nothing = _verdicts(trainer)
        trainers.log_final(trainer, training, metrics)
        with stops.finishing():
            write_json(folder / FINISHED, metrics)
        _report(folder, trainer, metrics, as_text(verdicts) or nothing, training, best)


def _prepare(training: Training, trainer: L.Trainer, run: Run) -> tuple[RunStart, dict[str, float]]:
    """Write the config of a new run, or check that the checkpoint of a run can be resumed.

    Returns:
        The function to call just before the first step, and the metrics that a resumed run has
        logged so far.

    Raises:
        UserError: if data, model or optimizer are not those of the checkpoint.
    """
    checkpoint = run.checkpoint
    config, logged, step = to_yaml(training.config.values), {}, 0
    changes: list[Callable[[L.Trainer], None]] = []
    if checkpoint is not None:
        content = read_checkpoint(checkpoint)
        record = record_of(content, checkpoint)
        check_data(record, trainers.record(training, trainer), run.folder)
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
    """Return where the logs ended when a checkpoint was written; empty for a new run."""
    if checkpoint is None:
        return {}
    ranks = read_checkpoint(checkpoint).get(EXACT, {}).get("ranks", [{}])
    ends: dict[str, int] = ranks[0].get("log_ends", {})
    return ends


def _rolled_back(training: Training, checkpoint: Path | None, event: Rollback) -> Training:
    """Build the run again, to continue from a checkpoint after one more rollback."""
    guard = training.optimization.guard
    again = assemble(training.config)
    again.rollbacks = (guard.rollbacks if guard else 0) + 1
    if trainers.first_rank():
        print(
            f"\n{event}\nRollback {again.rollbacks}: going back to {checkpoint or 'the start'} "
            "with a smaller learning rate and a different order of the data.",
            file=sys.stderr,
        )
    return again


def _best_path(trainer: L.Trainer) -> str | None:
    """Return the checkpoint of the best validation of a run; None if none was kept."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    kept = [c.best_path for c in callbacks if isinstance(c, Checkpoints)]
    return next((path for path in kept if path and Path(path).is_file()), None)


def _verdicts(trainer: L.Trainer) -> tuple[list[Verdict], str]:
    """Return the verdicts, and what it means where there are none; both empty with no monitor."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, Verdicts):
            found = callback.finish(trainer)
            return found, nothing_found(callback.monitor.record) if callback.monitor.on else ""
    return [], ""


def _report(
    folder: Path,
    trainer: L.Trainer,
    metrics: dict[str, float],
    findings: str,
    training: Training,
    best: str | None,
) -> None:
    shown = {k: v for k, v in metrics.items() if k.startswith("test_")} or metrics
    width = max((len(k) for k in shown), default=0)
    print(f"\nTrained for {trainer.global_step:,} optimizer steps.")
    callback = trainer.early_stopping_callback
    if isinstance(callback, Patience) and (text := callback.summary()):
        print(text)
    for name, value in shown.items():
        print(f"  {name.ljust(width)}  {value:.4g}")
    if best is not None:
        print(f"Tested with the best weights: {Path(best).name}")
    if findings:
        print(f"\n{findings}\n")
    print(f"Run folder:  {folder}")
    print(f"Look at it:  tensorboard --logdir {folder.parent.parent}")
    hint = predict_hint(training.module, training.data)
    if {"model", "model.net", "data"} & set(training.config.objects):
        print("Use it:      gdl.load(RUN), or the result of gdl.fit")
    elif hint:
        print(f"Use it:      gdl predict {folder} {hint}")
