"""Numbers gone wrong: a loss or gradient that is not finite never reaches the weights unseen."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from statistics import median
from typing import Any, Literal

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.engine.deferred_step import Judged, can_wait, forget
from gdlightning.engine.train_loaders import batch_indices, train_loaders
from gdlightning.errors import UserError
from gdlightning.schedules.scheduler import Scheduler
from gdlightning.storage.checkpoint_file import write

Policy = Literal["stop", "skip", "rollback", "off"]
WINDOW = 100
"""Past losses whose median tells a spike."""
BEHIND = 4
"""Steps, at most, whose numbers are still to be read."""
LEAST = 20
"""Losses that are needed before one can be called a spike."""


class Diverged(UserError):
    """Several steps in a row had a loss or gradient that is not finite, or a spike."""

    code = 3


class Rollback(BaseException):
    """Training is to go back to its last good checkpoint."""


class Guard(L.Callback):
    """Drops the steps whose loss or gradient is not finite, or whose loss is a spike.

    A dropped step leaves weights and optimizer as they were; it is counted, and its batch is saved
    in the run folder under ``bad_batches``. A scaler that skips steps of its own accord, as in
    16-bit mixed precision, is no fault.

    A device that computes behind the program is not waited for, where the optimizer is one of
    torch's fused ones and no ``spike`` is asked for: it leaves out a step that is not finite by
    itself, and what is to be counted, saved and said follows up to four steps later.

    Args:
        policy: after ``patience`` bad steps in a row ``stop`` ends training with a message,
            ``rollback`` goes back to the last good checkpoint with a smaller learning rate and
            another order of the data, ``skip`` goes on dropping; ``off`` watches nothing.
        patience: bad steps in a row that are borne.
        spike: a loss above this many times the median of the last hundred is bad too; off if not
            given.
        lr_factor: of the learning rate, for each rollback.
        max_rollbacks: after which training stops.
    """

    def __init__(
        self,
        policy: Policy = "stop",
        patience: int = 5,
        spike: float | None = None,
        lr_factor: float = 0.5,
        max_rollbacks: int = 3,
    ) -> None:
        for key, number in {"patience": patience, "max_rollbacks": max_rollbacks}.items():
            if number < 1:
                raise UserError(f"guard.{key} is {number}; write 1 or more.", key=f"guard.{key}")
        if spike is not None and not spike > 1:
            raise UserError(
                f"guard.spike is {spike}; write a number above 1, such as 10.", key="guard.spike"
            )
        if not 0 < lr_factor <= 1:
            raise UserError(
                f"guard.lr_factor is {lr_factor}; write a number above 0, at most 1.",
                key="guard.lr_factor",
            )
        self.policy, self.patience, self.spike = policy, patience, spike
        self.lr_factor, self.max_rollbacks = lr_factor, max_rollbacks
        self.folder: Path | None = None
        self.in_a_row = self.dropped = self.rollbacks = 0
        self.losses: deque[float] = deque(maxlen=WINDOW)
        self._loss = torch.zeros(())
        self._batch: Any = None
        self._trainer: L.Trainer | None = None
        self._judged: deque[Judged] = deque()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch, in case it is bad."""
        self._batch = batch

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Keep the loss."""
        self._loss = loss.detach()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After a rollback: a smaller learning rate, and another order of the data."""
        self._trainer = trainer
        self._judged.clear()
        if not self.rollbacks:
            return
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, Scheduler):
                config.scheduler.rescale(self.lr_factor**self.rollbacks)
        for loader in train_loaders(trainer):
            if hasattr(loader, "reorder"):
                loader.reorder = self.rollbacks

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Read what is left to be read."""
        self._forget(trainer)
        self._settle(everything=True)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave nothing on the optimizer, which somebody may go on with."""
        self._forget(trainer)

    def _forget(self, trainer: L.Trainer) -> None:
        for optimizer in trainer.optimizers:
            forget(optimizer)

    def is_bad(
        self, trainer: L.Trainer, norm: Tensor | None, optimizer: Optimizer | None = None
    ) -> bool:
        """Whether the step is to be dropped; asked once a step, after clipping.

        Args:
            trainer: of the training.
            norm: of the whole gradient before clipping, shape [].
            optimizer: that makes the step, unless it is made already.

        Raises:
            Diverged: too many in a row, under ``stop``.
            Rollback: too many in a row, under ``rollback``.
        """
        if self.policy == "off" or _scaled(trainer):
            return False
        own = self._loss if trainer.world_size == 1 else trainer.strategy.reduce(self._loss)
        if optimizer is not None and self.spike is None and can_wait(optimizer, own, norm):
            step = self._step(trainer, own, norm)
            step.leave_out(optimizer)
            self._judged.append(step)
            self._settle()
            return False
        reason = self._reason(float(own), norm)
        return bool(reason) and self._drop(trainer, self._step(trainer, own, norm), reason)

    def _step(self, trainer: L.Trainer, loss: Tensor, norm: Tensor | None) -> Judged:
        return Judged(trainer.global_step, loss, norm, self._batch,
                      batch_indices(trainer))  # fmt: skip

    def _settle(self, everything: bool = False) -> None:
        """Judge the steps whose numbers have come, or all.

        Several processes judge a step after the same number of further ones, whenever its numbers
        came: one that gave up by itself would leave the others waiting for it.
        """
        trainer, judged = self._trainer, self._judged
        while trainer is not None and judged:
            early = trainer.world_size == 1 and judged[0].is_ready
            if not (everything or early or len(judged) > BEHIND):
                return
            step = judged.popleft()
            step.wait()
            if reason := self._reason(float(step.loss), step.norm):
                self._drop(trainer, step, reason)

    def _reason(self, loss: float, norm: Tensor | None) -> str:
        """Why a step is bad; nothing where it is not, and what is kept of such a step."""
        total = loss if norm is None else loss + float(norm)
        reason = "" if math.isfinite(total) else f"loss {loss:g}, gradient norm {_text(norm)}"
        if not reason and self.spike is not None:
            middle = median(self.losses) if len(self.losses) >= LEAST else math.inf
            if loss > self.spike * middle:
                reason = f"loss {loss:g}, {loss / middle:.1f} times the median {middle:g}"
        if not reason:
            self.in_a_row = 0
            self.losses.append(loss)
        return reason

    def _drop(self, trainer: L.Trainer, step: Judged, reason: str) -> bool:
        self.in_a_row += 1
        self.dropped += 1
        self._save_batch(trainer, step, reason)
        for logger in trainer.loggers:
            logger.log_metrics({"dropped_steps": float(self.dropped)}, step=step.step)
        if self.in_a_row >= self.patience and self.policy != "skip":
            self._give_up(step.step, reason)
        return True

    def _give_up(self, step: int, reason: str) -> None:
        if self.policy == "rollback" and self.rollbacks < self.max_rollbacks:
            raise Rollback(f"step {step}: {reason}")
        raise Diverged(
            f"Training diverged at step {step}: {reason}; {self.in_a_row} bad steps in a row.\n"
            f"The weights are those before them; the batches are in {self.folder}/bad_batches.\n"
            "Try a smaller optimizer.lr, a warm-up, clip: norm, or guard.policy: rollback."
        )

    def _save_batch(self, trainer: L.Trainer, step: Judged, reason: str) -> None:
        if self.folder is None or not trainer.is_global_zero or self.dropped > 100:
            return
        folder = self.folder / "bad_batches"
        folder.mkdir(exist_ok=True)
        content = {
            "state_dict": {}, "reason": reason, "batch": _plain(step.batch),
            "step": step.step, "index": step.index,
        }  # fmt: skip
        write(content, folder / f"step-{step.step}.pt")

    def state_dict(self) -> dict[str, Any]:
        """Counts and past losses."""
        self._settle(everything=True)
        return {"in_a_row": self.in_a_row, "dropped": self.dropped, "rollbacks": self.rollbacks,
                "losses": list(self.losses)}  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with counts and past losses; a rollback since then counts."""
        self.in_a_row, self.dropped = state_dict["in_a_row"], state_dict["dropped"]
        self.rollbacks = max(self.rollbacks, state_dict["rollbacks"])
        self.losses = deque(state_dict["losses"], maxlen=WINDOW)


def _scaled(trainer: L.Trainer) -> bool:
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def _text(norm: Tensor | None) -> str:
    return "unknown" if norm is None else f"{float(norm):g}"


def _plain(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return batch.detach().cpu()
    if isinstance(batch, dict):
        return {str(k): _plain(v) for k, v in batch.items()}
    if isinstance(batch, list | tuple):
        return [_plain(v) for v in batch]
    return batch if isinstance(batch, bool | int | float | str) else str(batch)
