"""``torch.compile`` for a training, and after how many steps it has paid for itself."""

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

TRIES = 5
"""Passes that are timed before and after."""


class Compiled(L.Callback):
    """Compiles the parts of a module, and the optimizer's step on a GPU, before the first step.

    Forward and backward pass of the first batch are timed before and after, without a trace in
    weights, statistics or random numbers. How long compiling took over what a pass has gained is
    told: the break-even.

    Attributes:
        seconds: that compiling took; NaN before.
        before, after: seconds of a forward and backward pass.
    """

    def __init__(self) -> None:
        self.seconds = self.before = self.after = math.nan

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Compile, once.

        Raises:
            UserError: torch can't compile this here.
        """
        if not math.isnan(self.seconds):
            return

        def run() -> None:
            _pass(trainer, pl_module, batch, batch_idx)

        with torch.random.fork_rng(), traceless(pl_module):
            run()
            self.before = _time(run)
            for part in pl_module.children():
                if any(p.requires_grad for p in part.parameters()):
                    part.compile()
            began = time.perf_counter()
            try:
                run()
            except Exception as error:  # of the compiler, or of what it can't take
                first = str(error).strip().split("\n")[0]
                raise UserError(
                    f"compile: torch.compile fails on this model: {first}\nLeave compile out.",
                    key="compile",
                ) from error
            self.seconds = time.perf_counter() - began - self.before
            self.after = _time(run)
        for optimizer in trainer.optimizers:
            if all(p.is_cuda for g in optimizer.param_groups for p in g["params"]):
                optimizer.step = torch.compile(optimizer.step)  # type: ignore[assignment, method-assign]
        if trainer.is_global_zero:
            print(f"\n{self.told(trainer_steps(trainer).total or math.inf)}", file=sys.stderr)

    def told(self, steps: float) -> str:
        """What came of it, for people.

        Args:
            steps: of the whole training.
        """
        ms = f"{1e3 * self.before:.2f} → {1e3 * self.after:.2f} ms a forward and backward pass"
        gain = self.before - self.after
        if gain <= 0:
            return f"Compiled in {self.seconds:.1f} s: {ms}. It does not pay here; leave it out."
        even = math.ceil(self.seconds / gain)
        pays = "it pays" if even < steps else "it does not pay"
        of = "" if math.isinf(steps) else f" of {steps:,.0f}"
        return f"Compiled in {self.seconds:.1f} s: {ms}. Even after {even:,}{of} steps: {pays}."


def _pass(trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
    with trainer.precision_plugin.train_step_context():
        output: Any = trainer.strategy.training_step(batch, batch_idx)
    loss: Tensor = output["loss"] if isinstance(output, dict) else output
    loss.backward()
    module.zero_grad()
    if loss.is_cuda:
        torch.cuda.synchronize()


def _time(run: Callable[[], None]) -> float:
    taken = []
    for _ in range(TRIES):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return median(taken)
