"""One run with a budget of steps, and its outcome."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import lightning.pytorch as L
import torch
from torch import Tensor

from gdlightning.data.data_module import DataModule
from gdlightning.engine.epoch_loop import EpochLoop
from gdlightning.engine.optimization import Optimization
from gdlightning.errors import UserError
from gdlightning.study.space import Candidate, Settings
from gdlightning.study.workload import Workload
from gdlightning.tasks.task import Task

VALIDATIONS = 20
"""Number of validations during a run with a curve."""
CHECK_STEPS = 25
"""Steps between checks whether the loss is finite."""
Purpose = Literal["start", "baseline", "tuning", "sweep", "verdict"]


@dataclass(frozen=True)
class Trial:
    """Run to perform.

    Args:
        workload: name of the workload.
        candidate: label of the optimizer; empty for the untrained model.
        settings: values of the tuned options.
        steps: optimizer steps of the run and its schedule.
        seed: seed of the weights and the batch order.
        purpose: purpose of the run; curves and test metrics are only recorded for verdicts.
    """

    workload: str
    candidate: str
    settings: Settings
    steps: int
    seed: int = 0
    purpose: Purpose = "tuning"

    @property
    def key(self) -> str:
        """Digest that identifies equal trials."""
        values = asdict(self)
        values["contender"] = values.pop("candidate")  # its name in stored studies
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TrialResult:
    """Result of a trial.

    Args:
        metrics: final validation and test metrics.
        curve: (steps, seconds, metric) of validations during training.
        seconds: training time without validation, in seconds.
        state_bytes: size of the optimizer's state, in bytes.
        memory: peak of allocated GPU memory, in bytes; 0 on a CPU.
        failed: reason of a failure; empty on success.
        stacked: number of runs trained together.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    seconds: float = 0.0
    state_bytes: int = 0
    memory: int = 0
    failed: str = ""
    stacked: int = 1


def train(workload: Workload, candidate: Candidate | None, trial: Trial) -> TrialResult:
    """Run a trial; errors and non-finite losses are returned as a failed outcome."""
    L.seed_everything(trial.seed, workers=True, verbose=False)
    workload.prepare()
    if isinstance(workload.data, DataModule):
        workload.data.seed = trial.seed
    module = workload.module()
    if isinstance(module, Task):
        module.shows_training = False
    course = TrialCurve(workload, trial)
    try:
        if candidate is not None:
            optimizer, schedule = candidate.configured(trial.settings)
            how = Optimization(optimizer, schedule, workload.clip, workload.grouping)
            how.check(module)
            how.attach(module)
        trainer = _trainer(workload, trial, course)
        if trial.steps:
            trainer.fit(module, datamodule=workload.data)
        metrics = {} if course.failed else _evaluated(trainer, module, workload, trial)
    except (UserError, RuntimeError, ValueError, ArithmeticError, TypeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return TrialResult(failed=first, seconds=course.seconds)
    failed = course.failed
    if not failed and not math.isfinite(workload.score(metrics)):
        failed = f"the final {workload.metric} is not finite"
    if trial.purpose == "verdict" and not failed:
        course.note(trial.steps, metrics)
    return TrialResult(
        {} if failed else metrics,
        course.points,
        course.seconds,
        course.state_bytes,
        course.memory,
        failed,
    )


class TrialCurve(L.Callback):
    """Callback that records time, memory and validations, and stops if the loss is not finite."""

    def __init__(self, workload: Workload, trial: Trial) -> None:
        self.workload, self.trial = workload, trial
        self.points: list[tuple[int, float, float]] = []
        self.seconds, self.failed, self.state_bytes, self.memory = 0.0, "", 0, 0
        self._began: float | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the timer."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, idx: int
    ) -> None:
        """Stop if the loss is not finite."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        due = trainer.global_step % CHECK_STEPS == 0
        if due and isinstance(loss, Tensor) and not math.isfinite(float(loss)):
            self.failed = f"the loss was not finite after {trainer.global_step} steps"
            trainer.should_stop = True

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Pause the timer."""
        self._pause()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the metric and restart the timer."""
        if trainer.state.fn == "fit":
            metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
            self.note(trainer.global_step, metrics)
            self._began = time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record time and memory."""
        self._pause()
        held = [v for o in trainer.optimizers for s in o.state.values() for v in _tensors(s)]
        self.state_bytes = sum(t.numel() * t.element_size() for t in held)
        if torch.cuda.is_available():
            self.memory = torch.cuda.max_memory_allocated()

    def note(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record the metric at a step, once."""
        value = metrics.get(self.workload.metric, math.nan)
        if math.isfinite(value) and (not self.points or self.points[-1][0] < step):
            self.points.append((step, round(self.seconds, 4), float(f"{value:.6g}")))

    def _pause(self) -> None:
        if self._began is not None:
            self.seconds += time.perf_counter() - self._began
        self._began = None


def _trainer(workload: Workload, trial: Trial, course: TrialCurve) -> L.Trainer:
    options: dict[str, Any] = {"devices": 1, **workload.trainer}
    data = workload.data
    if isinstance(data, DataModule) and data.pieces > 1:
        options["accumulate_grad_batches"] = data.pieces
    shown = trial.purpose == "verdict"
    every = max(1, trial.steps // VALIDATIONS) * options.get("accumulate_grad_batches", 1)
    trainer = L.Trainer(
        **options,
        max_steps=trial.steps or -1,
        max_epochs=-1,
        logger=False,
        callbacks=[course],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=None if shown or not trial.steps else 0,
        val_check_interval=every if shown else None,
        check_val_every_n_epoch=None if shown else 1,
    )
    EpochLoop.install(trainer)
    return trainer


def _evaluated(
    trainer: L.Trainer, module: L.LightningModule, workload: Workload, trial: Trial
) -> dict[str, float]:
    """Return the validation metrics, and the test metrics for verdicts."""
    trainer.limit_val_batches = 1.0
    rows = trainer.validate(module, datamodule=workload.data, verbose=False)
    if trial.purpose == "verdict" and workload.test_metric != workload.metric:
        rows = [*rows, *trainer.test(module, datamodule=workload.data, verbose=False)]
    return {k: float(v) for row in rows for k, v in row.items()}


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    inner = state.values() if isinstance(state, Mapping) else state
    return (
        [t for v in inner for t in _tensors(v)]
        if isinstance(inner, list | tuple) or isinstance(state, Mapping)
        else []
    )
