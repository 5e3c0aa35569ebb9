"""Progress bar of a run: loss, learning rate, steps per second, remaining time."""

from __future__ import annotations

import sys
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from gdlightning.engine.step_counts import trainer_steps


class Progress(ProgressBar):
    """Progress bar that counts optimizer steps and shows the last validation metrics."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._enabled = True

    def disable(self) -> None:
        """Hide the bar; Lightning calls this on all ranks except the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar again."""
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar at the first step of this process."""
        self._bar = tqdm(
            total=trainer_steps(trainer).total,
            initial=trainer.global_step,
            desc="training",
            unit="step",
            dynamic_ncols=True,
            mininterval=0.25,
            disable=not self._enabled,
            file=sys.stderr,
        )

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Advance the bar; metrics are only read when it is drawn."""
        bar = self._bar
        made = trainer.global_step - bar.n
        if made > 0 and bar.update(made):
            bar.set_postfix(self._metrics(trainer, pl_module), refresh=False)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the final metrics and close the bar."""
        self._close(trainer, pl_module)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the error message starts on a new line."""
        self._close(trainer, pl_module)

    def _close(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._bar is not None:
            self._bar.set_postfix(self._metrics(trainer, module))
            self._bar.close()
            self._bar = None

    def _metrics(self, trainer: L.Trainer, module: L.LightningModule) -> dict[str, str]:
        figures = {
            k.replace("train_loss", "loss"): f"{v:.4g}" if isinstance(v, float) else str(v)
            for k, v in self.get_metrics(trainer, module).items()
            if k != "v_num"
        }
        if trainer.optimizers and trainer.optimizers[0].param_groups:
            lr = trainer.optimizers[0].param_groups[0].get("lr")
            if lr is not None:
                figures["lr"] = f"{float(lr):.2e}"
        return figures
