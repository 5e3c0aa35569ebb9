"""Checkpoints of a run, from which it resumes with bit-identical weights."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging

from gdlightning import internals
from gdlightning.callbacks import resume_state
from gdlightning.callbacks.stop_conditions import Stopped, Stops
from gdlightning.data.loader import BatchLoader
from gdlightning.data.resumable import ResumableLoader, not_exact
from gdlightning.engine.closure_replay import Replay
from gdlightning.engine.eval_weights import fitting
from gdlightning.engine.train_loaders import train_loaders
from gdlightning.errors import UserError
from gdlightning.storage.checkpoint_file import LAST
from gdlightning.storage.checkpoint_plugin import PlainCheckpointIO
from gdlightning.storage.logs import flush, log_ends

VAL_LOSS = "val_loss"
VAL_LOSS_NAMES = {
    *("valloss", "validloss", "validationloss", "evalloss", "devloss"),
    *("lossval", "lossvalid", "lossvalidation", "losseval", "vallossepoch"),
}
"""Usual names of a validation loss, as ``plain_name`` returns them."""

EXACT = "exact"
"""Key of the state that exact resume needs in addition to Lightning's."""
MIN_SAVE_RATIO = 100
"""Minimum ratio of the time between two saves to the duration of a save."""


def plain_name(metric: str) -> str:
    """Return the letters and digits of a metric's name, in lower case."""
    return "".join(c for c in metric.lower() if c.isalnum())


class Checkpoints(Checkpoint):
    """Saves checkpoints between two optimizer steps, from which a run resumes bit-identically.

    ``last.ckpt`` is written every ``every_seconds`` or ``every_n_steps``, at the end of the run and
    on a stop. Older checkpoints are renamed to ``previous-1.ckpt`` and so on.
    ``best-epoch=E-step=S.ckpt`` is the checkpoint with the best validation metric so far.

    Args:
        folder: folder of the checkpoints.
        stops: reasons to stop.
        monitor: metric that decides which checkpoint is best. The default also matches the usual
            spellings of a validation loss, such as val/loss and valid_loss.
        mode: whether a lower (min) or a higher (max) metric is better.
        keep: number of recent checkpoints to keep.
        every_seconds: minimum seconds between two saves. The interval is longer if saves would take
            more than 1% of the time.
        every_n_steps: optimizer steps between two saves; overrides every_seconds.

    Attributes:
        start: function that is called before the first step or validation of this process.

    Raises:
        UserError: if a value is out of range.
    """

    def __init__(
        self,
        folder: Path,
        stops: Stops,
        *,
        monitor: str = VAL_LOSS,
        mode: Literal["min", "max"] = "min",
        keep: int = 3,
        every_seconds: float = 60.0,
        every_n_steps: int | None = None,
    ) -> None:
        for key, number in {
            "keep": keep,
            "every_n_steps": 1 if every_n_steps is None else every_n_steps,
        }.items():
            if number < 1:
                raise UserError(
                    f"checkpoint.{key} must be at least 1", key=f"checkpoint.{key}", value=number
                )
        if not every_seconds >= 0:
            raise UserError(
                "checkpoint.every_seconds must be at least 0",
                key="checkpoint.every_seconds",
                value=every_seconds,
            )
        self.folder, self.stops = folder, stops
        self.monitor, self.mode, self.keep = monitor, mode, keep
        self.every_seconds, self.every_n_steps = every_seconds, every_n_steps
        self.start: Callable[[L.Trainer], None] = lambda trainer: None
        self.best_score: float | None = None
        self.best_path = ""
        self._due = ""
        self._reported = False
        self._is_between = False
        self._saved = (time.monotonic(), 0.0, 0)  # when, how long it took, after which step
        self._before_validation: dict[str, Any] | None = None
        self._loaded: dict[str, Any] | None = None
        self._random: dict[str, Any] | None = None

    # Between two steps

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Register the calls between two batches and before a validation."""
        self._saved = (time.monotonic(), 0.0, trainer.global_step)
        if not internals.private_names():
            return
        loop: Any = trainer.fit_loop.epoch_loop
        loop.between = functools.partial(self._between, trainer)
        loop.val_loop.before = functools.partial(self._before, trainer, pl_module)

    def restore(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Restore what Lightning does not, and check that all state can be saved.

        Raises:
            UserError: if some state that a resume needs cannot be saved.
        """
        if not internals.private_names():
            if self._loaded is not None:
                own, self._loaded = self._loaded["ranks"][trainer.global_rank], None
                resume_state.set_modes(module, own["modes"])
                for loader, state in zip(train_loaders(trainer), own["loaders"], strict=True):
                    if state is not None:
                        loader.load_state_dict(state)
                self._random = own["random"]
                self._apply_random(trainer, keep=True)
            return
        loader = internals.combined_loader(trainer)
        if trainer.is_global_zero and isinstance(loader, ResumableLoader):
            for what in not_exact(loader.flattened):
                print(f"Note: After a resume, {what}", file=sys.stderr)
        if self._loaded is not None:
            self._continue(trainer, module, self._loaded)
        writer = trainer.strategy.checkpoint_io
        if isinstance(writer, PlainCheckpointIO):
            writer.check(internals.checkpoint_content(trainer))

    def _continue(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loaded: dict[str, Any]
    ) -> None:
        own = loaded["ranks"][trainer.global_rank]
        internals.set_reload_epoch(trainer, own["reloaded"])
        loader = internals.combined_loader(trainer)
        if isinstance(loader, ResumableLoader) and own["loader"] is not None:
            loader.resume(own["loader"], internals.data_fetcher(trainer))
        resume_state.set_modes(pl_module, own["modes"])
        resume_state.set_gradients(pl_module, own["gradients"])
        resume_state.set_metric_states(pl_module, own["metrics"])
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in loaded["logged"].items()})
        self._random = own["random"]
        self._apply_random(trainer, keep=True)

    def _between(self, trainer: L.Trainer) -> None:
        """Save and stop if due; the last step is complete and the next has not started.

        Raises:
            Stopped: if a stop was requested.
        """
        self._apply_random(trainer)
        self.start(trainer)
        if internals.accumulates(trainer):
            return
        reason = self.stops.reason(trainer)
        self._is_between = True
        if self._due:
            self._save_best(trainer)
        if reason is not None or self._is_due(trainer):
            self.save(trainer)
        self._is_between = False
        if reason is not None:
            raise Stopped(reason)

    def _before(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Store the state before a validation, which is saved by a stop during it."""
        self._apply_random(trainer)
        self.start(trainer)
        if self._loaded is not None:  # stopped in this validation: no batch was trained since
            own = self._loaded["ranks"][trainer.global_rank]
            resume_state.log_again(trainer, module, own["logs"])
            if internals.epoch_is_over(trainer):
                self._loaded = None  # else the next batch begins the means again, and adds these
        flush(trainer.loggers)
        self._before_validation = self._own_state(trainer, module)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the run, if nothing is called between batches."""
        if not internals.private_names():
            self._apply_random(trainer)
            self.start(trainer)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the running means of the epoch's part before a resume.

        Raises:
            Stopped: if a stop was requested, and nothing is called between batches.
        """
        if not internals.private_names():
            self._after_batch(trainer, batch_idx)
            return
        if self._loaded is not None:
            before = self._loaded["ranks"][trainer.global_rank]["logs"]
            resume_state.add_means(trainer, before)
            resume_state.log_again(trainer, pl_module, before)
            self._loaded = None

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Save and stop if requested; the resumed run starts the validation again.

        Raises:
            Stopped: if a stop was requested.
        """
        if not fitting(trainer) or not internals.private_names() or self._replays_window(trainer):
            return
        if (reason := self.stops.reason(trainer)) is not None:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, WeightAveraging):
                    internals.swap_average(callback, pl_module)  # a validation uses the average
            self.save(trainer)
            raise Stopped(reason)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check whether this validation is the best so far; it is saved before the next step."""
        if not fitting(trainer):
            return
        self._before_validation = None
        name = self.monitored(trainer)
        found = trainer.callback_metrics[name] if name else None
        if found is None or not torch.isfinite(torch.as_tensor(found)):
            return
        score = float(found)
        sign = 1 if self.mode == "min" else -1
        if self.best_score is None or sign * score < sign * self.best_score:
            self.best_score = score
            self._due = f"best-epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
            if not internals.private_names():
                self._save_best(trainer)
            elif internals.accumulates(trainer):
                self._save_best(trainer)  # the weights change before the next call of _between

    def monitored(self, trainer: L.Trainer) -> str:
        """Return the logged metric that decides which checkpoint is best, or an empty string."""
        logged = trainer.callback_metrics
        if self.monitor in logged:
            return self.monitor
        usual = self.monitor == VAL_LOSS
        name = next((n for n in logged if usual and plain_name(n) in VAL_LOSS_NAMES), "")
        if not self._reported and trainer.is_global_zero:
            self._reported = True
            text = f"checkpoint.monitor {self.monitor} is not logged"
            if name:
                print(f"Note: {text}; {name} decides which checkpoint is best.", file=sys.stderr)
            else:
                names = ", ".join(sorted(logged)) or "none"
                print(
                    f"Note: {text}, so no best checkpoint is kept. Logged metrics: {names}.\n"
                    "Set one of them: --checkpoint.monitor NAME",
                    file=sys.stderr,
                )
        return name

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the last step."""
        if self._due:
            self._save_best(trainer)
        self.save(trainer)

    def _after_batch(self, trainer: L.Trainer, batch_idx: int) -> None:
        """Save and stop at the end of a batch, using only public names of Lightning."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            return
        reason = self.stops.reason(trainer)
        if reason is not None or self._is_due(trainer):
            self.save(trainer)
        if reason is not None:
            raise Stopped(reason)

    def _replays_window(self, trainer: L.Trainer) -> bool:
        """Return whether a step that evaluates the loss again is only partly accumulated."""
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        replays = any(isinstance(callback, Replay) for callback in callbacks)
        return replays and internals.accumulates(trainer)

    def _is_due(self, trainer: L.Trainer) -> bool:
        when, took, step = self._saved
        if trainer.global_step == step:
            return False
        if self.every_n_steps is not None:
            return trainer.global_step - step >= self.every_n_steps
        due = time.monotonic() - when > max(self.every_seconds, MIN_SAVE_RATIO * took)
        return bool(trainer.strategy.reduce_boolean_decision(due, all=False))

    # Saving and loading

    def save(self, trainer: L.Trainer) -> None:
        """Flush the logs, then write ``last.ckpt``."""
        began = time.monotonic()
        flush(trainer.loggers)
        path = self.folder / LAST
        trainer.save_checkpoint(path, storage_options={"keep": self.keep})
        now = time.monotonic()
        self._saved = (now, now - began, trainer.global_step)

    def _save_best(self, trainer: L.Trainer) -> None:
        former, self.best_path = self.best_path, str(self.folder / self._due)
        self._due = ""
        flush(trainer.loggers)
        trainer.save_checkpoint(self.best_path, storage_options={"replaces": former})

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and checkpoint so far."""
        return {"best_score": self.best_score, "best_path": self.best_path, "due": self._due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score and checkpoint."""
        path = state_dict["best_path"]  # the folder may have another name by now
        self.best_path = str(self.folder / Path(path).name) if path else ""
        self.best_score = state_dict["best_score"]
        self._due = state_dict["due"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state that Lightning omits, and adjust its counters to resume from here."""
        own = self._before_validation or self._own_state(trainer, pl_module)
        logged = {k: float(v) for k, v in trainer.callback_metrics.items()}
        checkpoint[EXACT] = {
            "ranks": resume_state.each_rank(own),
            "logged": logged,
            "between_batches": internals.private_names(),
        }
        if not internals.private_names():
            return
        states = checkpoint["loops"]["fit_loop"]
        if self._before_validation is not None:
            # As if validation had begun its first batch: Lightning starts it again from there.
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            states["epoch_loop.val_loop.batch_progress"] = {
                "total": dict(begun),
                "current": dict(begun),
                "is_last_batch": False,
            }
        elif self._is_between and internals.validates_now(trainer):
            # Lightning counts this step for its loggers again when it skips the validation
            # that was made before the save.
            internals.uncount_logged_step(states)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the state for ``restore``.

        Raises:
            UserError: if the checkpoint was written with private names of Lightning and they are
                disabled now, or vice versa: both store the position in the data differently.
        """
        self._loaded = checkpoint.get(EXACT)
        if self._loaded is None:
            return
        saved = self._loaded.get("between_batches", True)
        if saved != internals.private_names():
            where = "between two batches" if saved else "at the end of a batch"
            raise UserError(
                f"The checkpoint was saved {where}, which is not supported with this version of "
                f"Lightning or with {internals.PUBLIC}.",
                key="resume",
                hint="Resume with the version that wrote it, or start a new run with --init_from.",
            )

    def _own_state(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, Any]:
        if not internals.private_names():
            return {
                "random": resume_state.random_states(trainer),
                "loaders": [
                    loader.state_dict() if isinstance(loader, BatchLoader) else None
                    for loader in train_loaders(trainer)
                ],
                "modes": resume_state.modes(module),
                "log_ends": self._log_ends(trainer),
            }
        loader = internals.combined_loader(trainer)
        accumulating = internals.accumulates(trainer)
        logs = resume_state.logs(trainer, module)
        if self._loaded is not None:  # saved before the first batch: they are added after it
            logs = self._loaded["ranks"][trainer.global_rank]["logs"]
        return {
            "random": resume_state.random_states(trainer),
            "loader": loader.state() if isinstance(loader, ResumableLoader) else None,
            "reloaded": internals.reload_epoch(trainer),
            "modes": resume_state.modes(module),
            "gradients": resume_state.gradients(module) if accumulating else {},
            "metrics": resume_state.metric_states(module),
            "logs": logs,
            "log_ends": self._log_ends(trainer),
        }

    def _log_ends(self, trainer: L.Trainer) -> dict[str, int]:
        return log_ends(self.folder.parent, trainer.loggers) if trainer.is_global_zero else {}

    def _apply_random(self, trainer: L.Trainer, keep: bool = False) -> None:
        """Set the random states that were loaded.

        Args:
            trainer: trainer of the run.
            keep: whether to set them again before the next batch, since calls until then may draw
                random numbers.
        """
        if self._random is None:
            return
        unmatched = resume_state.set_random_states(trainer, self._random)
        if not keep:
            self._random = None
            for path in unmatched[:3]:
                print(
                    f"Note: the state of the random generator {path} could not be restored; its "
                    "numbers differ from those of a run that was not interrupted.",
                    file=sys.stderr,
                )


class Restore(L.Callback):
    """Restores the state of ``Checkpoints`` before the other callbacks start.

    Lightning calls checkpoint callbacks after all others.

    Args:
        checkpoints: checkpoint callback of the run.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the state of the run."""
        self.checkpoints.restore(trainer, pl_module)
