"""Measure the cost of exact checkpoints, stops and the guard, or of the monitor, on a small CNN.

Trains with and without them in alternation. Each round gives the ratio of the mean times per step,
including the saves of the round. Prints a Markdown row.

    python scripts/bench/guards.py --rounds 7
    python scripts/bench/guards.py --of monitor --steps 600
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as L

ROOT = Path(__file__).parent.parent.parent
COMMON = (
    "--trainer.enable_progress_bar",
    "false",
    "--trainer.accelerator",
    "cpu",
    "--data.size",
    "32",
    "--data.shift",
    "0",
    "--data.rotate",
    "0",
    "--data.zoom",
    "0",
    "--model.net.width",
    "16",
    "--watch.graph",
    "false",
    "--watch.samples",
    "false",
    "--trainer.num_sanity_val_steps",
    "0",
    "--threads",
    "1",
    "--data.batch_size",
    "32",
    "--data.val_fraction",
    "0.02",
)
MONITOR = ("--monitor.every", "0")
NONE = {
    "guards": ("--guard.policy", "off", "--trainer.enable_checkpointing", "false"),
    "monitor": MONITOR,
}
"""Flags that disable each measured feature."""


class Clock(L.Callback):
    """Time from the tenth step to the last, in seconds."""

    def __init__(self) -> None:
        self.began = self.seconds = 0.0
        self.steps = 0

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        now = time.perf_counter()
        if trainer.global_step == 10:
            self.began = now
        self.seconds, self.steps = now - self.began, trainer.global_step - 10


def step_time(steps: int, *flags: str) -> tuple[float, int]:
    """Return the mean time per step, and the number of parameters."""
    from gdlightning.callbacks.stop_conditions import Stops
    from gdlightning.runs import trainer as trainers
    from gdlightning.runs.build_run import assemble
    from gdlightning.runs.load_config import load
    from gdlightning.runs.quiet import quiet
    from gdlightning.runs.resume import open_run

    quiet()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        config, _ = load(
            [
                "--config",
                str(ROOT / "configs" / "vision.yaml"),
                "--run_root",
                folder,
                *COMMON,
                "--trainer.max_steps",
                str(steps),
                *flags,
            ]
        )
        training, clock = assemble(config), Clock()
        with open_run(config, True) as run:
            trainer = trainers.build(training, Stops())
            trainers.attach_run(trainer, training, run.folder)
            callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
            callbacks.append(clock)
            trainer.fit(training.module, datamodule=training.data)
        count = sum(p.numel() for p in training.module.parameters())
    return clock.seconds / clock.steps, count


def main() -> None:
    """Run the measurements, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--of", choices=tuple(NONE), default="guards")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    step_time(20)  # warm
    ratios, count, times = [], 0, []
    for _ in range(given.rounds):
        more = MONITOR if given.of == "guards" else ()
        guarded, count = step_time(given.steps, *more)
        bare, _ = step_time(given.steps, *more, *NONE[given.of])
        ratios.append(guarded / bare)
        times.append(bare)
    print(
        f"| CNN, {count:,} parameters, 1×32×32, batch 32 | {1000 * median(times):.1f} ms | "
        f"{median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f} |"
    )


if __name__ == "__main__":
    main()
