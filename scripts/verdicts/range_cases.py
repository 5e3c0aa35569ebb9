"""Good learning rates of small tasks, and range tests on them, for ``range_test.py``.

Results are stored as lines of ``runs/verdicts/range_test.jsonl`` and reused.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lightning.pytorch as L
from lightning.pytorch.tuner.tuning import Tuner
from tqdm import tqdm

from gdlightning.data.data_module import DataModule
from gdlightning.engine.optimization import optimize
from gdlightning.errors import UserError
from gdlightning.range_test.lr_range_test import LR_MAX, LR_MIN, STEPS, range_test
from gdlightning.runs.config_workload import workload as workload_of
from gdlightning.runs.load_config import load
from gdlightning.storage.journal import append, rows
from gdlightning.study.space import Candidate
from gdlightning.study.train_many import Variation, train_many
from gdlightning.study.trial import Trial, train
from gdlightning.study.workload import Workload

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "runs" / "verdicts"
LARGER = ("--data.val_fraction", "0.3", "--data.test_fraction", "0.05")
TASKS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "classification": ("tabular", 3, LARGER),
    "regression": ("tabular_regression", 3, LARGER),
    "resnet": ("vision", 2, ("--model.net.width", "4", "--data.batch_size", "32")),
    "vit": (
        "vision_vit",
        2,
        ("--model.net.width", "16", "--model.net.depth", "2", "--data.batch_size", "32"),
    ),
    "lstm": ("sequence", 2, ("--model.net.width", "16", "--data.batch_size", "32")),
    "forecast": (
        "forecast",
        2,
        (
            "--model.net.width",
            "8",
            "--model.net.depth",
            "2",
            "--data.val_fraction",
            "0.25",
            "--data.test_fraction",
            "0.1",
        ),
    ),
    "text": ("text", 2, ("--data.ngrams", "1")),
    "gpt": (
        "transformer",
        2,
        (
            "--model.net.width",
            "32",
            "--model.net.depth",
            "2",
            "--data.context",
            "32",
            "--data.batch_size",
            "8",
            "--data.val_fraction",
            "0.01",
        ),
    ),
    "wine": ("tabular", 3, (*LARGER, "--data.dataset", "wine", "--clip", "none")),
    "encoder": (
        "sequence",
        2,
        (
            "--model.net",
            "transformer-encoder",
            "--model.net.width",
            "16",
            "--model.net.depth",
            "1",
            "--data.batch_size",
            "32",
        ),
    ),
}
"""Name → config, seeds of the grid, and flags that make it small."""
OPTIMIZERS = {
    "sgd": (-4.0, 1.0),
    "adam": (-4.0, 0.0),
    "adamw": (-4.0, 0.0),
    "adagrad": (-3.0, 1.0),
    "lion": (-5.0, -1.0),
    "rmsprop": (-5.0, -2 / 3),
}
"""First and last power of ten of each grid."""
PER_DECADE = 3
LENGTH = 300
"""Optimizer steps per run of the grid, with a cosine schedule and a warmup of a tenth."""
SCHEDULE = {"name": "cosine", "warmup": 0.1}
TESTS, FIRST_SEED = 3, 100
"""Range tests per task and optimizer, with seeds that the grid does not use."""
Row = dict[str, Any]


def measured(
    tasks: Sequence[str], optimizers: Sequence[str], length: int, tests: int, file: Path
) -> list[Row]:
    """Return all results, and append missing ones to the file.

    Args:
        tasks: names of tasks.
        optimizers: names of optimizers.
        length: optimizer steps per run of the grid.
        tests: seeds of the range tests.
        file: file of the stored results.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    wanted = list(_wanted(tasks, optimizers, length, tests))
    kept = {_key(row): row for row in rows(file)}
    for row, make in tqdm(wanted, file=sys.stderr):
        if _key(row) not in kept:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kept[_key(row)] = {**row, **make()}
            append(file, kept[_key(row)])
    return [kept[_key(row)] for row, _ in wanted]


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(k) for k in ("kind", "task", "optimizer", "length", "seed"))


def _wanted(
    tasks: Sequence[str], optimizers: Sequence[str], length: int, tests: int
) -> Iterator[tuple[Row, Callable[[], Row]]]:
    for task in tasks:
        for optimizer in optimizers:
            case = {"task": task, "optimizer": optimizer}
            yield (
                {"kind": "grid", "length": length, **case},
                lambda t=task, o=optimizer: grid(t, o, length),  # type: ignore[misc]
            )
            for seed in range(FIRST_SEED, FIRST_SEED + tests):
                yield (
                    {"kind": "test", "seed": seed, **case},
                    lambda t=task, o=optimizer, s=seed: test(t, o, s),  # type: ignore[misc]
                )


@cache
def workload(task: str) -> Workload:
    """Return a task with its data."""
    config, _, flags = TASKS[task]
    made, _ = load(["--config", str(ROOT / "configs" / f"{config}.yaml"), *flags])
    found = workload_of(made, LENGTH)
    found.prepare()
    return found


def grid(task: str, optimizer: str, length: int) -> Row:
    """The final validation loss of each learning rate and seed; None where it is no number."""
    own, seeds = workload(task), range(TASKS[task][1])
    first, last = OPTIMIZERS[optimizer]
    lrs = [10 ** (first + k / PER_DECADE) for k in range(round((last - first) * PER_DECADE) + 1)]
    untrained = train(own, None, Trial(task, "", {}, 0)).metrics["val_loss"]
    try:
        found = [_stacked(own, optimizer, lrs, seed, length) for seed in seeds]
    except UserError:  # it can't be stacked
        found = [[_single(own, optimizer, lr, s, length) for lr in lrs] for s in seeds]
    return {"lr": lrs, "untrained": untrained, "loss": [[_number(v) for v in row] for row in found]}


def _stacked(
    own: Workload, optimizer: str, lrs: Sequence[float], seed: int, length: int
) -> list[float]:
    if not isinstance(own.data, DataModule):
        raise UserError("Only data of gdlightning can be stacked.")
    made: Any = own.module
    found = train_many(
        made,
        own.data,
        [Variation(lr, seed=seed) for lr in lrs],
        steps=length,
        optimizer=optimizer,
        schedule=SCHEDULE,
        clip=own.max_norm or None,
    )
    return [one.val_loss for one in found]


def _single(own: Workload, optimizer: str, lr: float, seed: int, length: int) -> float:
    candidate = Candidate(optimizer, {"name": optimizer}, SCHEDULE, {})
    outcome = train(own, candidate, Trial(own.name, optimizer, {"lr": lr}, length, seed))
    return outcome.metrics.get("val_loss", math.nan)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def test(task: str, optimizer: str, seed: int) -> Row:
    """The curve of a range test, and what Lightning suggests over the same and its own steps."""
    own = workload(task)
    own.data.seed = seed  # type: ignore[attr-defined]

    def fresh() -> L.LightningModule:
        L.seed_everything(seed, verbose=False)
        return own.module()

    found = range_test(fresh(), own.data, optimizer, clip=own.clip).curve
    return {
        "lr": found.lr,
        "loss": [_number(v) for v in found.loss],
        "start": found.start,
        "lightning": _lightning(own, fresh(), optimizer, LR_MIN, LR_MAX, STEPS),
        "lightning's defaults": _lightning(own, fresh(), optimizer, 1e-8, 1.0, 100),
    }


def _lightning(
    own: Workload, module: L.LightningModule, optimizer: str, low: float, high: float, steps: int
) -> float | None:
    """Return the suggestion of Lightning's range test, if any."""
    optimize(module, optimizer, clip=own.clip)
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            max_epochs=-1,
            default_root_dir=folder,
        )
        tuner = Tuner(trainer)
        found = tuner.lr_find(
            module,
            datamodule=own.data,
            min_lr=low,
            max_lr=high,
            num_training=steps,
            update_attr=False,
        )
    return found.suggestion() if found is not None else None
