"""The guard, which drops optimizer steps with a non-finite loss or gradient."""

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

from gdlightning.engine.deferred_step import StepValues, can_defer, clear_skip_flag
from gdlightning.engine.train_loaders import batch_indices, train_loaders
from gdlightning.errors import UserError
from gdlightning.schedules.scheduler import Scheduler
from gdlightning.storage.checkpoint_file import write

Policy = Literal["stop", "skip", "rollback", "off"]
LOSS_WINDOW = 100
"""Number of past losses whose median defines a spike."""
MAX_PENDING_STEPS = 4
"""Number of steps after which the values of a deferred step are read."""
MIN_LOSSES = 20
"""Number of losses before a spike can be detected."""


class Diverged(UserError):
    """Error: several consecutive steps had a non-finite loss or gradient, or a spike."""

    code = 3


class Rollback(BaseException):
    """Request to continue from the last good checkpoint."""


class Guard(L.Callback):
    """Drops optimizer steps with a non-finite loss or gradient, or with a spike of the loss.

    A dropped step does not change the weights or the optimizer state. It is counted, and its batch
    is saved in the run folder under ``bad_batches``. Steps that a gradient scaler skips, as in
    16-bit mixed precision, are not counted.

    With torch's fused optimizers on a GPU, and without ``spike``, the guard does not wait for the
    loss: the device skips a non-finite step, and the guard counts and reports it up to four steps
    later.

    Args:
        policy: response to ``patience`` bad steps in a row. ``stop`` ends the run with an error,
            ``rollback`` continues from the last good checkpoint with a smaller learning rate and
            a different data order, ``skip`` continues to drop steps. ``off`` disables the guard.
        patience: number of bad steps in a row before ``policy`` applies.
        spike: threshold above which a loss is a spike, as a multiple of the median of the last
            100 losses. None disables spike detection.
        lr_factor: factor of the learning rate per rollback, in (0, 1].
        max_rollbacks: maximum number of rollbacks before the run stops.

    Raises:
        UserError: if a value is out of range.
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
                raise UserError(f"guard.{key} must be at least 1", key=f"guard.{key}", value=number)
        if spike is not None and not spike > 1:
            raise UserError(
                "guard.spike must be greater than 1, such as 10", key="guard.spike", value=spike
            )
        if not 0 < lr_factor <= 1:
            raise UserError(
                "guard.lr_factor must be in (0, 1]", key="guard.lr_factor", value=lr_factor
            )
        self.policy, self.patience, self.spike = policy, patience, spike
        self.lr_factor, self.max_rollbacks = lr_factor, max_rollbacks
        self.folder: Path | None = None
        self.in_a_row = self.dropped = self.rollbacks = 0
        self.losses: deque[float] = deque(maxlen=LOSS_WINDOW)
        self._loss = torch.zeros(())
        self._batch: Any = None
        self._trainer: L.Trainer | None = None
        self._pending: deque[StepValues] = deque()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch, to save it if the step is dropped."""
        self._batch = batch

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Keep the loss."""
        self._loss = loss.detach()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After a rollback, reduce the learning rate and change the order of the data."""
        self._trainer = trainer
        self._pending.clear()
        if not self.rollbacks:
            return
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, Scheduler):
                config.scheduler.rescale(self.lr_factor**self.rollbacks)
        for loader in train_loaders(trainer):
            if hasattr(loader, "reorder"):
                loader.reorder = self.rollbacks

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the steps that are still pending."""
        self._clear_skip_flags(trainer)
        self._check_pending(wait=True)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Clear the optimizers' flags, since the caller may use them further."""
        self._clear_skip_flags(trainer)

    def _clear_skip_flags(self, trainer: L.Trainer) -> None:
        for optimizer in trainer.optimizers:
            clear_skip_flag(optimizer)

    def is_bad(
        self, trainer: L.Trainer, norm: Tensor | None, optimizer: Optimizer | None = None
    ) -> bool:
        """Return whether to drop the step; called once per step, after clipping.

        Args:
            trainer: trainer of the run.
            norm: global gradient norm before clipping, shape [].
            optimizer: optimizer of the step; None if the step has already been made.

        Raises:
            Diverged: if ``patience`` is exhausted and the policy is ``stop``.
            Rollback: if ``patience`` is exhausted and the policy is ``rollback``.
        """
        if self.policy == "off" or _has_scaler(trainer):
            return False
        own = self._loss if trainer.world_size == 1 else trainer.strategy.reduce(self._loss)
        if optimizer is not None and self.spike is None and can_defer(optimizer, own, norm):
            step = self._values(trainer, own, norm)
            step.skip_on_device(optimizer)
            self._pending.append(step)
            self._check_pending()
            return False
        reason = self._reason(float(own), norm)
        return bool(reason) and self._drop(trainer, self._values(trainer, own, norm), reason)

    def _values(self, trainer: L.Trainer, loss: Tensor, norm: Tensor | None) -> StepValues:
        return StepValues(trainer.global_step, loss, norm, self._batch, batch_indices(trainer))

    def _check_pending(self, wait: bool = False) -> None:
        """Check the pending steps whose values have arrived, or all of them if ``wait``.

        With several processes, all of them check a step after the same number of further steps. If
        one of them stopped earlier, the others would wait for it in a collective operation.
        """
        trainer, pending = self._trainer, self._pending
        while trainer is not None and pending:
            early = trainer.world_size == 1 and pending[0].is_ready
            if not (wait or early or len(pending) > MAX_PENDING_STEPS):
                return
            step = pending.popleft()
            step.wait()
            if reason := self._reason(float(step.loss), step.norm):
                self._drop(trainer, step, reason)

    def _reason(self, loss: float, norm: Tensor | None) -> str:
        """Return why a step is bad; for a good step, record its loss and return an empty string."""
        total = loss if norm is None else loss + float(norm)
        reason = "" if math.isfinite(total) else f"loss {loss:g}, gradient norm {_norm_text(norm)}"
        if not reason and self.spike is not None:
            middle = median(self.losses) if len(self.losses) >= MIN_LOSSES else math.inf
            if loss > self.spike * middle:
                reason = f"loss {loss:g}, {loss / middle:.1f} times the median {middle:g}"
        if not reason:
            self.in_a_row = 0
            self.losses.append(loss)
        return reason

    def _drop(self, trainer: L.Trainer, step: StepValues, reason: str) -> bool:
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
            f"The run diverged at step {step}: {reason}; {self.in_a_row} bad steps in a row.\n"
            f"The weights are those before these steps. Their batches are saved in "
            f"{self.folder}/bad_batches.",
            hint="Try a smaller optimizer.lr, a warmup, clip: norm, or guard.policy: rollback.",
        )

    def _save_batch(self, trainer: L.Trainer, step: StepValues, reason: str) -> None:
        if self.folder is None or not trainer.is_global_zero or self.dropped > 100:
            return
        folder = self.folder / "bad_batches"
        folder.mkdir(exist_ok=True)
        content = {
            "state_dict": {},
            "reason": reason,
            "batch": _plain_values(step.batch),
            "step": step.step,
            "index": step.index,
        }
        write(content, folder / f"step-{step.step}.pt")

    def state_dict(self) -> dict[str, Any]:
        """Return the counts and the recent losses."""
        self._check_pending(wait=True)
        return {
            "in_a_row": self.in_a_row,
            "dropped": self.dropped,
            "rollbacks": self.rollbacks,
            "losses": list(self.losses),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the counts and losses, but keep the number of rollbacks if it is larger."""
        self.in_a_row, self.dropped = state_dict["in_a_row"], state_dict["dropped"]
        self.rollbacks = max(self.rollbacks, state_dict["rollbacks"])
        self.losses = deque(state_dict["losses"], maxlen=LOSS_WINDOW)


def _has_scaler(trainer: L.Trainer) -> bool:
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def _norm_text(norm: Tensor | None) -> str:
    return "unknown" if norm is None else f"{float(norm):g}"


def _plain_values(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return batch.detach().cpu()
    if isinstance(batch, dict):
        return {str(k): _plain_values(v) for k, v in batch.items()}
    if isinstance(batch, list | tuple):
        return [_plain_values(v) for v in batch]
    return batch if isinstance(batch, bool | int | float | str) else str(batch)
