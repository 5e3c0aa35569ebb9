"""``torch.compile`` during a run, and the number of steps after which it saves time."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from gdlightning.engine.step_counts import trainer_steps
from gdlightning.errors import UserError
from gdlightning.tasks.objective import traceless

TIMED_PASSES = 5
"""Forward and backward passes that are timed before and after compilation."""


class Compiled(L.Callback):
    """Compiles the submodules, and on a GPU the optimizer step, before the first step.

    The forward and backward pass of the first batch are timed before and after, without changing
    weights, statistics or random numbers. The break-even point is printed: the number of steps
    after which the time saved exceeds the time of the compilation.

    Attributes:
        seconds: duration of the compilation; NaN before it.
        before: seconds per forward and backward pass without compilation.
        after: seconds per forward and backward pass with compilation.
    """

    def __init__(self) -> None:
        self.seconds = self.before = self.after = math.nan

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Compile before the first batch.

        Raises:
            UserError: if the compilation fails.
        """
        if not math.isnan(self.seconds):
            return

        def run() -> None:
            _run_pass(trainer, pl_module, batch, batch_idx)

        with torch.random.fork_rng(), traceless(pl_module):
            run()
            self.before = _time(run)
            for part in pl_module.children():
                if any(p.requires_grad for p in part.parameters()):
                    part.compile()
            began = time.perf_counter()
            try:
                run()
            except Exception as error:  # any error of the compiler or of the compiled code
                first = str(error).strip().split("\n")[0]
                raise UserError(
                    f"torch.compile failed on this model: {first}",
                    key="compile",
                    hint="Set compile: false.",
                ) from error
            self.seconds = time.perf_counter() - began - self.before
            self.after = _time(run)
        for optimizer in trainer.optimizers:
            if all(p.is_cuda for g in optimizer.param_groups for p in g["params"]):
                optimizer.step = torch.compile(optimizer.step)  # type: ignore[assignment, method-assign]
        if trainer.is_global_zero:
            print(f"\n{self.summary(trainer_steps(trainer).total or math.inf)}", file=sys.stderr)

    def summary(self, steps: float) -> str:
        """Return the times and the break-even point as a sentence.

        Args:
            steps: number of steps of the run; infinite if unknown.
        """
        ms = f"{1e3 * self.before:.2f} → {1e3 * self.after:.2f} ms per pass"
        gain = self.before - self.after
        if gain <= 0:
            return (
                f"Compiled in {self.seconds:.1f} s: {ms}. This is not faster; set compile: false."
            )
        even = math.ceil(self.seconds / gain)
        of = "" if math.isinf(steps) else f" of {steps:,.0f}"
        text = f"Compiled in {self.seconds:.1f} s: {ms}. Break-even after {even:,}{of} steps"
        return f"{text}." if even < steps else f"{text}: the run is too short; set compile: false."


def _run_pass(trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
    with trainer.precision_plugin.train_step_context():
        output: Any = trainer.strategy.training_step(batch, batch_idx)
    loss: Tensor = output["loss"] if isinstance(output, dict) else output
    loss.backward()
    module.zero_grad()
    if loss.is_cuda:
        torch.cuda.synchronize()


def _time(run: Callable[[], None]) -> float:
    taken = []
    for _ in range(TIMED_PASSES):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return median(taken)
