"""When a training is saved, and how it goes on from there, bit by bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging

from gdlightning.callbacks import exact
from gdlightning.callbacks.loaders import train_loaders
from gdlightning.callbacks.modes import fitting
from gdlightning.callbacks.stops import Stopped, Stops
from gdlightning.errors import UserError
from gdlightning.storage.logs import flush

EXACT = "exact"
"""Where a checkpoint holds what is needed to go on with the same bits."""
SHARE = 100
"""Training goes on for at least this many times the length of the last save."""


class Checkpoints(Checkpoint):
    """Saves between two optimizer steps, where a training can go on with the same bits.

    ``last.ckpt`` is written every ``every_seconds`` or ``every_n_steps``, at the end, and where
    something asks for a stop; the former ones become ``previous-1.ckpt`` and so on.
    ``best-epoch=E-step=S.ckpt`` is that of the best validation so far.

    Args:
        folder: where they are written.
        stops: reasons to stop.
        monitor: the metric that tells the best; none is kept where it is not logged.
        mode: whether it is to fall (min) or to rise (max).
        keep: how many of the last checkpoints are kept.
        every_seconds: between two saves, and never more often than costs a hundredth of the time.
        every_n_steps: optimizer steps between two saves, instead.

    Raises:
        UserError: a number can't be meant.
    """

    def __init__(
        self,
        folder: Path,
        stops: Stops,
        *,
        monitor: str = "val_loss",
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
                raise UserError(f"checkpoint.{key} is {number}; write 1 or more.")
        if not every_seconds >= 0:
            raise UserError(f"checkpoint.every_seconds is {every_seconds}; write 0 or more.")
        self.folder, self.stops, self.monitor, self.mode, self.keep = (
            folder, stops, monitor, mode, keep)  # fmt: skip
        self.every_seconds, self.every_n_steps = every_seconds, every_n_steps
        self.best_score: float | None = None
        self.best_path = ""
        self._due = ""
        self._is_between = False
        self._saved = (time.monotonic(), 0.0, 0)  # when, how long it took, after which step
        self._before_validation: dict[str, Any] | None = None
        self._loaded: dict[str, Any] | None = None
        self._random: dict[str, Any] | None = None

    # Between two steps

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Be asked by the loader before each batch, and go on from what was loaded."""
        self._saved = (time.monotonic(), 0.0, trainer.global_step)
        # Lightning has asked for the loaders to count the steps, before it knew their states.
        trainer.fit_loop._load_combined_loader_states()
        for loader in train_loaders(trainer):
            if hasattr(loader, "between"):
                loader.between = self._between(trainer)
                break
        if self._loaded is not None:
            own = self._loaded["ranks"][trainer.global_rank]
            exact.set_metric_states(pl_module, own["metrics"])
            trainer.callback_metrics.update(
                {k: torch.tensor(v) for k, v in self._loaded["logged"].items()}
            )
            self._random = own["random"]
            self._apply_random()
            self._random = own["random"]  # once more, after what else happens before a batch

    def _between(self, trainer: L.Trainer) -> Callable[[], None]:
        def between() -> None:
            self._apply_random()
            if trainer.fit_loop.epoch_loop._should_accumulate():
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

        return between

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the running means of the epoch's part before a resume."""
        if self._loaded is not None:
            exact.add_means(trainer, self._loaded["ranks"][trainer.global_rank]["logs"])
            self._loaded = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep what a stop in the middle of validation must save: the state before it."""
        if fitting(trainer):
            self._apply_random()
            if self._loaded is not None:  # stopped in this validation: no batch was trained since
                own = self._loaded["ranks"][trainer.global_rank]
                exact.log_again(trainer, pl_module, own["logs"])
                self._loaded = None
            self._before_validation = self._own_state(trainer, pl_module)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Save and stop, if that was asked for; validation will be run again from its start.

        Raises:
            Stopped: a stop was asked for.
        """
        if fitting(trainer) and (reason := self.stops.reason(trainer)) is not None:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, WeightAveraging) and callback._average_model is not None:
                    callback._swap_models(pl_module)  # back: it validates with the mean weights
            self.save(trainer)
            raise Stopped(reason)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note whether this was the best so far; it is saved before the next step."""
        if not fitting(trainer):
            return
        self._before_validation = None
        found = trainer.callback_metrics.get(self.monitor)
        if found is None or not torch.isfinite(torch.as_tensor(found)):
            return
        score = float(found)
        sign = 1 if self.mode == "min" else -1
        if self.best_score is None or sign * score < sign * self.best_score:
            self.best_score = score
            self._due = f"best-epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the end."""
        if self._due:
            self._save_best(trainer)
        self.save(trainer)

    def _is_due(self, trainer: L.Trainer) -> bool:
        when, took, step = self._saved
        if trainer.global_step == step:
            return False
        if self.every_n_steps is not None:
            return trainer.global_step - step >= self.every_n_steps
        due = time.monotonic() - when > max(self.every_seconds, SHARE * took)
        return bool(trainer.strategy.reduce_boolean_decision(due, all=False))

    # Saving and loading

    def save(self, trainer: L.Trainer) -> None:
        """Write ``last.ckpt``, with all logs up to here on the disk before it."""
        began = time.monotonic()
        flush(trainer.loggers)
        path = self.folder / "last.ckpt"
        trainer.save_checkpoint(path, storage_options={"keep": self.keep})
        now = time.monotonic()
        self._saved = (now, now - began, trainer.global_step)

    def _save_best(self, trainer: L.Trainer) -> None:
        former, self.best_path = self.best_path, str(self.folder / self._due)
        self._due = ""
        flush(trainer.loggers)
        trainer.save_checkpoint(self.best_path, storage_options={"replaces": former})

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"best_score": self.best_score, "best_path": self.best_path, "due": self._due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best so far."""
        self.best_score, self.best_path = state_dict["best_score"], state_dict["best_path"]
        self._due = state_dict["due"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what Lightning leaves out, and set its counters so that it goes on from here."""
        own = self._before_validation or self._own_state(trainer, pl_module)
        logged = {k: float(v) for k, v in trainer.callback_metrics.items()}
        checkpoint[EXACT] = {"ranks": exact.each_rank(own), "logged": logged}
        loop: Any = trainer.fit_loop.epoch_loop
        states = checkpoint["loops"]["fit_loop"]
        if self._before_validation is not None:
            # As if validation had begun its first batch: Lightning starts it again from there.
            begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            states["epoch_loop.val_loop.batch_progress"] = {
                "total": dict(begun), "current": dict(begun), "is_last_batch": False,
            }  # fmt: skip
        elif self._is_between and loop._should_check_val_fx(trainer.fit_loop._data_fetcher):
            # Lightning counts this step for its loggers again when it skips the validation
            # that was made before the save.
            states["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember what ``on_train_start`` puts back."""
        self._loaded = checkpoint.get(EXACT)

    def _own_state(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, Any]:
        return {
            "random": exact.random_state(),
            "metrics": exact.metric_states(module),
            "logs": exact.logs(trainer, module),
        }

    def _apply_random(self) -> None:
        if self._random is not None:
            exact.set_random_state(self._random)
            self._random = None
