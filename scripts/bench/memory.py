"""Measure the peak memory of a run compared with a minimal loop, and the effect of each option.

Trains a transformer of 11 million weights on windows of 256 bytes, each time in a new process. The
result is the peak memory above the memory before the first step (modules, libraries and data).
Prints a Markdown table.

    python scripts/bench/memory.py --rounds 3
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent
STEPS, BATCH, CONTEXT = 6, 8, 256
NET = {"width": 384, "depth": 6, "heads": 6}
WAYS: dict[str, tuple[str, ...]] = {
    "gdl fit, all features": ("--clip", "norm"),
    "steps in the backward pass": ("--optimizer.in_backward", "true"),
    "8-bit moments (torchao)": ("--clip", "norm", "--optimizer", "torchao:adamw-8bit"),
    "4-bit moments (torchao)": ("--clip", "norm", "--optimizer", "torchao:adamw-4bit"),
    "no moments (sgd without momentum)": ("--clip", "norm", "--optimizer", "gd"),
    "activation checkpointing": ("--clip", "norm", "--recompute", "[net.blocks.*]"),
    "activation checkpointing, steps in the backward pass": (
        "--recompute",
        "[net.blocks.*]",
        "--optimizer.in_backward",
        "true",
    ),
}


def held() -> int:
    """Return the current memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Peak(threading.Thread):
    """Return the peak memory of this process above its initial memory, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.first = self.most = held()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.002):
            self.most = max(self.most, held())

    def stop(self) -> int:
        """Print the result, and exit."""
        self.done.set()
        self.join()
        return self.most - self.first


def by_hand() -> int:
    """Train with a minimal loop."""
    import torch

    from gdlightning.nets.gpt import GPT

    tokens = torch.randint(256, (STEPS, BATCH, CONTEXT + 1))
    net = GPT(256, NET["width"], NET["depth"], NET["heads"])
    peak = Peak()
    peak.start()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    for batch in tokens:
        optimizer.zero_grad()
        logits = net(batch[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return peak.stop()


def by_gdl(*flags: str) -> int:
    """Train with the config for transformers."""
    import lightning.pytorch as L

    from gdlightning.callbacks.stop_conditions import Stops
    from gdlightning.runs import trainer as trainers
    from gdlightning.runs.build_run import assemble
    from gdlightning.runs.load_config import load
    from gdlightning.runs.quiet import quiet
    from gdlightning.runs.resume import open_run

    quiet()
    peaks: list[Peak] = []

    class Start(L.Callback):
        def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            peaks.append(Peak())
            peaks[0].start()

    with tempfile.TemporaryDirectory() as folder:
        sizes = [f"--model.net.{k}={v}" for k, v in NET.items()]
        config, _ = load(
            [
                "--model",
                "language-modelling",
                "--data",
                "python-docs",
                f"--data.context={CONTEXT}",
                f"--data.batch_size={BATCH}",
                *sizes,
                "--run_root",
                folder,
                f"--trainer.max_steps={STEPS}",
                "--trainer.accelerator",
                "cpu",
                "--trainer.limit_val_batches",
                "0",
                "--optimizer",
                "adamw",
                *flags,
            ]
        )
        training = assemble(config)
        with open_run(config, True) as run:
            trainer = trainers.build(training, Stops())
            trainers.attach_run(trainer, training, run.folder)
            trainer.callbacks.insert(0, Start())  # type: ignore[attr-defined]
            trainer.fit(training.module, datamodule=training.data)
    return peaks[0].stop()


def measured(way: str) -> int:
    """Measure in a new process, in bytes."""
    done = subprocess.run(
        [sys.executable, __file__, "--way", way],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"},
    )
    return int(done.stdout.split()[-1])


def main() -> None:
    """Run the measurements, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", help="measure only this configuration, in this process")
    given = parser.parse_args()
    if given.way:
        found = by_gdl(*WAYS[given.way]) if given.way in WAYS else by_hand()
        time.sleep(0.1)
        print(found)
        return
    names = ["minimal loop", *WAYS]
    rows = {name: [measured(name) for _ in range(given.rounds)] for name in names}
    base = median(rows["minimal loop"])
    print("| configuration | peak MB, median | ÷ minimal loop |\n|---|---|---|")
    for name in names:
        most = median(rows[name])
        print(f"| {name} | {most / 1e6:,.0f} | {most / base:.2f} |")


if __name__ == "__main__":
    main()
