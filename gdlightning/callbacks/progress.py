"""Progress of a run: a bar on a terminal, a line now and then in a file or pipe."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from gdlightning.engine.step_counts import trainer_steps

SECONDS = 30.0
"""Longest time between two lines."""


class Progress(ProgressBar):
    """Counts optimizer steps and shows loss, learning rate and the last validation.

    On a terminal it is one bar. Elsewhere, as in a log file, lines are printed at 1%, then every
    10% of the steps and at least every 30 seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._enabled = True
        self._is_terminal = True
        self._total: int | None = None
        self._start = (0.0, 0)
        self._shown = (0.0, 0)
        self._next = 0

    def disable(self) -> None:
        """Hide the bar; Lightning calls this on all ranks except the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar again."""
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar at the step that training starts from."""
        self._total, step = trainer_steps(trainer).total, trainer.global_step
        self._is_terminal = sys.stderr.isatty()
        if not self._is_terminal:
            self._start = self._shown = (time.monotonic(), step)
            self._next = step + math.ceil((self._total or 0) / 100)
            return
        self._bar = tqdm(
            total=self._total,
            initial=step,
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
        """Advance; the figures are read only when the bar is drawn."""
        if not self._is_terminal:
            if self._is_due(trainer.global_step):
                self._print_line(trainer, pl_module)
            return
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
        if not self._is_terminal and trainer.global_step > self._shown[1]:
            self._print_line(trainer, module)
        if self._bar is not None:
            self._bar.set_postfix(self._metrics(trainer, module))
            self._bar.close()
            self._bar = None

    def _is_due(self, step: int) -> bool:
        when, shown = self._shown
        if step == shown:
            return False
        at_step = self._total is not None and step >= self._next
        return at_step or time.monotonic() - when >= SECONDS

    def _print_line(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        step, now = trainer.global_step, time.monotonic()
        self._shown = (now, step)
        place = f"step {step:,}"
        if self._total:
            tenth = max(1.0, self._total / 10)
            self._next = math.ceil(tenth * (math.floor(step / tenth) + 1))
            place += f" of {self._total:,} ({step / self._total:.0%})"
        parts = [place, *(f"{k} {v}" for k, v in self._metrics(trainer, module).items())]
        began, first = self._start
        if self._total and self._total > step > first:
            seconds = (now - began) / (step - first) * (self._total - step)
            parts.append(f"{tqdm.format_interval(seconds)} left")
        if self._enabled:
            print(", ".join(parts), file=sys.stderr, flush=True)

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
