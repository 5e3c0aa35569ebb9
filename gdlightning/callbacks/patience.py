"""Stop a run that no longer improves."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import EarlyStopping

from gdlightning.callbacks.checkpoints import Checkpoints
from gdlightning.engine.eval_weights import fitting
from gdlightning.errors import UserError


class Patience(EarlyStopping):
    """Lightning's early stopping on the metric that decides which checkpoint is best.

    Args:
        checkpoints: Knows the metric, also under its usual names.
        patience: Validations without improvement after which the run stops.
    """

    def __init__(self, checkpoints: Checkpoints, patience: int) -> None:
        super().__init__(
            checkpoints.monitor,
            patience=patience,
            mode=checkpoints.mode,
            check_on_train_epoch_end=False,
        )
        self._checkpoints = checkpoints
        self._best = (0, 0)
        self._stopped: tuple[int, int] | None = None

    @property
    def state_key(self) -> str:
        """Return a key that does not depend on the spelling of the metric."""
        return type(self).__name__

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wait again in a run that has stopped early and is trained longer."""
        self._stopped = None
        if self.wait_count >= self.patience:
            self.wait_count = 0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop if the metric has not improved for too long.

        Raises:
            UserError: if the metric is not logged.
        """
        if not fitting(trainer) or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        name = self._checkpoints.monitored(trainer)
        if not name:
            raise UserError(
                f"patience: the metric {self.monitor} is not logged.\n"
                "Set one that is logged, --checkpoint.monitor NAME, or remove patience. Logged: "
                f"{', '.join(sorted(trainer.callback_metrics)) or 'none'}."
            )
        self.monitor = name
        here = (trainer.current_epoch + 1, trainer.global_step)
        former = self.best_score
        self._run_early_stopping_check(trainer)
        if self.best_score is not former:
            self._best = here
        if trainer.should_stop:
            self._stopped = here

    def summary(self) -> str:
        """Return where the run has stopped and where it was best; empty if it has not stopped."""
        if self._stopped is None:
            return ""
        epoch, step = self._stopped
        if self.wait_count >= self.patience:
            count = f"{self.patience:,} validation{'s' if self.patience > 1 else ''}"
            reason = f"{self.monitor} did not improve for {count}"
        else:
            reason = f"{self.monitor} is not finite"
        best_epoch, best_step = self._best
        text = f"Stopped early after epoch {epoch:,} (step {step:,}): {reason}."
        if not best_step:
            return text
        value = f"{self.monitor} {float(self.best_score):.4g}"
        return f"{text}\nBest: epoch {best_epoch:,} (step {best_step:,}), {value}."

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, where it was, and the validations since."""
        return super().state_dict() | {"best": list(self._best)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them; the patience may have changed."""
        patience = self.patience
        super().load_state_dict(state_dict)
        self.patience = patience
        self._best = (int(state_dict["best"][0]), int(state_dict["best"][1]))
