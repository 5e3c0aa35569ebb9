"""``gdl fit --dry_run``: check everything that comes before the first step, and print the plan."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.fabric.utilities.exceptions import MisconfigurationException

from gdlightning.callbacks.start_line import start_line
from gdlightning.callbacks.stop_conditions import Stops
from gdlightning.config.schema import Config
from gdlightning.config.trainer_errors import trainer_error
from gdlightning.runs import trainer as trainers
from gdlightning.runs.build_run import Training
from gdlightning.runs.find_checkpoint import newest_whole
from gdlightning.runs.fit import assemble_with_notes
from gdlightning.runs.quiet import quiet
from gdlightning.runs.resume import Run, planned_run
from gdlightning.schedules.scheduler import Scheduler


class _Ready(Exception):
    """Everything before the first step has succeeded."""


class _Halt(L.Callback):
    """Collects the plan and ends the run before its first step."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.lines: list[str] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Collect the lines.

        Raises:
            _Ready: always.
        """
        name = str(self._config.values["model"]["name"])
        self.lines = [start_line(trainer, pl_module, name), f"Schedule:     {_schedule(trainer)}"]
        raise _Ready


def dry_run(config: Config) -> None:
    """Set up data, optimizer and Trainer as a run does, print the plan, and write nothing.

    Raises:
        UserError: whatever a run would raise before its first step.
    """
    quiet()
    training = assemble_with_notes(config)
    trainer: Any = trainers.build(training, Stops())
    run = planned_run(config)
    halt = _Halt(config)
    trainer.callbacks = [halt]
    try:
        trainer.fit(training.module, datamodule=training.data)
    except _Ready:
        _print_plan(training, run, halt)
    except MisconfigurationException as error:
        raise trainer_error(error, training.config.given) from error


def _print_plan(training: Training, run: Run, halt: _Halt) -> None:
    if not trainers.first_rank():
        return
    values = training.config.values
    saved = values["checkpoint"]
    steps, seconds = saved["every_n_steps"], saved["every_seconds"]
    often = f"every {steps:,} steps" if steps is not None else f"every {seconds:g} s"
    print("\n".join(halt.lines))
    print(f"Checkpoints:  {often}, the last {saved['keep']} and the best {saved['monitor']}")
    if values["patience"] is not None:
        print(f"Patience:     {values['patience']:,} validations without improvement")
    state = "new"
    if run.resumed:
        checkpoint = run.checkpoint or newest_whole(run.folder / "checkpoints")
        state = f"resumed from {checkpoint.name}" if checkpoint else "resumed from step 0"
    print(f"Run folder:   {run.folder} ({state})")
    print("Dry run: everything was checked, nothing was trained or written.")


def _schedule(trainer: L.Trainer) -> str:
    schedulers = [c.scheduler for c in trainer.lr_scheduler_configs]
    if not schedulers:
        return "constant"
    found = schedulers[0]
    if not isinstance(found, Scheduler):
        return f"{type(found).__name__} of the module"
    rates = sorted({f"{rate:g}" for rate in found.base_lrs})
    warmup = found.schedule.warmup
    parts = [found.schedule.name, f"peak learning rate {', '.join(rates)}"]
    return ", ".join([*parts, f"warmup {warmup}"] if warmup else parts)
