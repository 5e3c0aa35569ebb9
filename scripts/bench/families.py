"""Train many optimizers with default settings on each task, and check that they learn.

Trains small versions of the configs for a few dozen steps with ``gdl fit``. A cell contains the
mean training loss over the last batches with the initial weights and with the trained weights.
Prints a Markdown table; the exit code is 1 if a pair did not learn, or raised an unexpected error.

    python scripts/bench/families.py
    python scripts/bench/families.py adamw muon
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean

from gdlightning.__main__ import main as gdl

CONFIGS = Path(__file__).parent.parent.parent / "configs"
LEAST = 0.01
"""Fraction by which the loss must decrease."""

OPTIMIZERS: dict[str, tuple[str, ...]] = {
    "adamw": (),
    "sgd": (),
    "adagrad": (),
    "adam": (),
    "rmsprop": (),
    "nadam": (),
    "radam": (),
    "lion": (),
    "muon": (),
    "soap": (),
    "adafactor": (),
    "lamb": (),
    "schedule-free-adamw": ("--schedule", "constant"),
    "prodigy": (),
    "sam": (),
    "lbfgs": ("--clip", "none", "--schedule", "constant"),
    "shampoo": (),
    "adopt": (),
    "ademamix": (),
    "sophia": (),
}
"""Flags that an optimizer needs; the learning rate is its default."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "tabular": (),
    "tabular_regression": (),
    "vision": ("--model.net.width", "8"),
    "vision_vit": ("--model.net.width", "32", "--model.net.depth", "1"),
    "sequence": ("--model.net.width", "32"),
    "forecast": (),
    "text": (),
    "transformer": ("--model.net.width", "32", "--model.net.depth", "1", "--data.context", "64"),
}
"""Flags that make each config small."""

BATCHES: dict[tuple[str, str], str] = {
    ("prodigy", "tabular"): "128",
    ("lbfgs", "tabular"): "full",
    ("lbfgs", "tabular_regression"): "full",
    ("lbfgs", "vision_vit"): "512",
}
"""Optimizer and family → batch size, where dropout or few examples are too noisy for the method."""

STEPS = {"lbfgs": 10}
"""Number of steps of optimizers that evaluate the loss many times per step."""

RATES = {
    ("radam", "vision"): "1e-2",
    ("radam", "sequence"): "1e-2",
    ("radam", "text"): "0.1",
    ("lion", "sequence"): "1e-3",
    ("lamb", "sequence"): "1e-2",
    ("adafactor", "text"): "0.5",
}
"""Learning rates where the default is meant for longer runs."""

REFUSED = {
    ("muon", "text"): "only accepts matrices",
    ("shampoo", "text"): "keeps a square matrix",
    ("sophia", "text"): "needs second derivatives",
}
"""Unsupported pairs and the error that gdl prints. The linear text model has no hidden matrices for
Muon. Shampoo would need a matrix of vocabulary size squared. torch has no second derivative of an
embedding bag."""


@dataclass(frozen=True)
class Outcome:
    """Result of a pair: mean losses before and after, or the error message."""

    before: float = 0.0
    after: float = 0.0
    error: str = ""

    @property
    def learnt(self) -> bool:
        """Whether the loss decreased enough."""
        return not self.error and self.after < (1 - LEAST) * self.before

    def text(self) -> str:
        """Format the result for the table."""
        if self.error:
            return "not supported"
        mark = "" if self.learnt else " **did not learn**"
        return f"{self.before:.3g} → {self.after:.3g}{mark}"


def losses(flags: tuple[str, ...]) -> list[float] | str:
    """Return the training loss of each step of a ``gdl fit``, or its error message."""
    output = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(
                "fit",
                *flags,
                "--run_root",
                folder,
                "--loggers",
                '["csv"]',
                "--watch.graph",
                "false",
            ),
            *("--trainer.enable_progress_bar", "false", "--trainer.enable_checkpointing", "false"),
            *("--trainer.log_every_n_steps", "1", "--trainer.limit_val_batches", "1"),
            *("--trainer.limit_test_batches", "1", "--trainer.accelerator", "cpu"),
        ]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = gdl(command)
        if code:
            return output.getvalue().partition("error: ")[2].strip() or output.getvalue()
        with next(Path(folder).glob("*/*/metrics.csv")).open() as stream:
            return [float(r["train_loss"]) for r in csv.DictReader(stream) if r["train_loss"]]


@cache
def untouched(flags: tuple[str, ...]) -> list[float]:
    """Return the losses of the same batches without training."""
    found = losses((*flags, "--optimizer", "sgd", "--optimizer.lr", "0"))
    if isinstance(found, str):
        raise RuntimeError(found)
    return found


def tried(optimizer: str, family: str, steps: int) -> Outcome:
    """Train one pair."""
    steps = min(steps, STEPS.get(optimizer, steps))
    batch = BATCHES.get((optimizer, family))
    shared = (
        *("--config", str(CONFIGS / f"{family}.yaml"), "--trainer.max_steps", str(steps)),
        *("--trainer.val_check_interval", str(steps)),
        *FAMILIES[family],
        *(("--data.batch_size", batch) if batch else ()),
    )
    rate = RATES.get((optimizer, family))
    own = (*OPTIMIZERS[optimizer], *(("--optimizer.lr", rate) if rate else ()))
    found = losses((*shared, "--optimizer", optimizer, *own))
    if isinstance(found, str):
        return Outcome(error=found)
    last = max(1, len(found) // 5)
    return Outcome(mean(untouched(shared)[-last:]), mean(found[-last:]))


def is_right(optimizer: str, family: str, outcome: Outcome) -> bool:
    """Return whether a pair learned, or raised the expected error."""
    wanted = REFUSED.get((optimizer, family))
    return outcome.learnt if wanted is None else wanted in outcome.error


def main() -> int:
    """Train the selected pairs; the exit code is 1 if a result is unexpected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("optimizers", nargs="*", help="optimizers to train (default: all)")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    print(f"| optimizer | {' | '.join(given.families)} |")
    print("|---" * (len(given.families) + 1) + "|", flush=True)
    wrong: list[str] = []
    said: dict[str, str] = {}
    for optimizer in given.optimizers or OPTIMIZERS:
        cells = []
        for family in given.families:
            outcome = tried(optimizer, family, given.steps)
            cells.append(outcome.text())
            pair = f"{optimizer} on {family}"
            if outcome.error:
                said[pair] = " ".join(outcome.error.split())
            if not is_right(optimizer, family, outcome):
                wrong.append(pair)
        print(f"| {optimizer} | {' | '.join(cells)} |", flush=True)
    for pair, message in said.items():
        print(f"\nNot supported, {pair}: {message}")
    if wrong:
        print(f"\nUnexpected results: {', '.join(wrong)}.", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
