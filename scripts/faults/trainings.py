"""Ten runs to interrupt, and the comparison of a resumed run with an uninterrupted one."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).parent.parent.parent
COMMON = (
    "--trainer.enable_progress_bar",
    "false",
    "--trainer.accelerator",
    "cpu",
    "--trainer.log_every_n_steps",
    "1",
    "--watch.graph",
    "false",
)
TIMED = ("steps_per_second", "examples_per_second")
"""Columns of the log that differ between all runs."""

FILES = ("log_ends", "best_path", "best_score_path")
"""Keys of a checkpoint for names and sizes of files, which differ between all runs."""

FOREIGN = """
import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric

class Noisy(Dataset):
    def __len__(self):
        return 96
    def __getitem__(self, k):
        x = torch.linspace(-1, 1, 4) * (k + 1) / 96 + 0.1 * torch.randn(4)
        return x, x.sum()[None]

class Points(L.LightningDataModule):
    def __init__(self, workers: int = 0):
        super().__init__()
        self.workers = workers
    def train_dataloader(self):
        return DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=self.workers)
    def val_dataloader(self):
        x = torch.linspace(-1, 1, 64).reshape(16, 4)
        return DataLoader(torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8)

class Line(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.2),
                                       torch.nn.Linear(8, 1))
        self.mean = MeanMetric()
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = (self.net(x) - y).square().mean()
        self.mean.update(loss.detach())
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log("mean", self.mean, on_step=False, on_epoch=True)
        return loss
    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", (self.net(x) - y).square().mean())
"""


@dataclass(frozen=True)
class Case:
    """A run, by its flags."""

    name: str
    flags: tuple[str, ...]
    config: str = ""
    ranks: int = 1

    def command(self, run_root: Path) -> list[str]:
        """Return the command that starts or resumes the run."""
        config = ("--config", str(ROOT / "configs" / f"{self.config}.yaml")) if self.config else ()
        return [
            sys.executable,
            "-m",
            "gdlightning",
            "fit",
            *config,
            "--name",
            "run",
            "--run_root",
            str(run_root),
            "--resume",
            "auto",
            *COMMON,
            *self.flags,
        ]


def flags(text: str) -> tuple[str, ...]:
    """Split flags as on a command line."""
    return tuple(text.split())


CASES = (
    Case(
        "tabular, adamw, dropout, accumulation",
        flags(
            "--trainer.max_epochs 6 --trainer.accumulate_grad_batches 3 "
            "--checkpoint.every_n_steps 2"
        ),
        "tabular",
    ),
    Case(
        "tabular, full batch in pieces, quantile clipping",
        flags(
            "--trainer.max_epochs 40 --data.batch_size full --data.micro_batch_size 100 "
            "--clip quantile --clip.warmup 3 --checkpoint.every_n_steps 5"
        ),
        "tabular",
    ),
    Case(
        "vision, sgd, augmentation, validation within the epoch",
        flags(
            "--trainer.max_steps 40 --trainer.val_check_interval 7 --model.net.width 4 "
            "--checkpoint.every_n_steps 3"
        ),
        "vision",
    ),
    Case(
        "vision, schedule-free adamw",
        flags(
            "--trainer.max_steps 40 --trainer.val_check_interval 10 --model.net.width 4 "
            "--optimizer schedule-free-adamw --schedule constant --checkpoint.every_n_steps 4"
        ),
        "vision",
    ),
    Case(
        "vision, EMA of the weights, one-cycle",
        (
            *flags(
                "--trainer.max_steps 40 --trainer.val_check_interval 10 --model.net.width 4 "
                "--schedule one_cycle --checkpoint.every_n_steps 4"
            ),
            "--callbacks",
            "[{name: ema-weight-averaging, decay: 0.9}]",
        ),
        "vision",
    ),
    Case(
        "tabular, sam over adamw",
        flags(
            "--trainer.max_epochs 6 --optimizer sam --optimizer.base adamw "
            "--checkpoint.every_n_steps 5"
        ),
        "tabular",
    ),
    Case(
        "regression, lbfgs, full batch",
        flags(
            "--trainer.max_epochs 12 --optimizer lbfgs --clip none --data.batch_size full "
            "--schedule constant --checkpoint.every_n_steps 1"
        ),
        "tabular_regression",
    ),
    Case(
        "sequence, muon with companion, reduce on plateau",
        flags(
            "--trainer.max_epochs 3 --model.net.width 8 --optimizer muon "
            "--schedule reduce_on_plateau --schedule.patience 0 --checkpoint.every_n_steps 6"
        ),
        "sequence",
    ),
    Case(
        "text, sparse adagrad",
        flags(
            "--trainer.max_steps 120 --trainer.val_check_interval 40 --data.ngrams 1 "
            "--checkpoint.every_n_steps 11"
        ),
        "text",
    ),
    Case(
        "transformer, two ranks",
        flags(
            "--trainer.max_steps 24 --trainer.val_check_interval 9 --model.net.width 16 "
            "--model.net.depth 1 --model.net.dropout 0.1 --data.context 32 "
            "--data.val_fraction 0.005 --data.test_fraction 0.005 --trainer.devices 2 "
            "--trainer.strategy ddp --checkpoint.every_n_steps 4"
        ),
        "transformer",
        ranks=2,
    ),
    Case(
        "a third-party module, two workers",
        flags(
            "--model elsewhere.Line --data elsewhere.Points --data.workers 2 --optimizer adamw "
            "--trainer.max_epochs 4 --checkpoint.every_n_steps 5"
        ),
    ),
)


def start(case: Case, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a run in a new session, so that all its processes can be killed."""
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    with log.open("ab") as stream:
        return subprocess.Popen(
            case.command(folder / "runs"),
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def prepare(folder: Path) -> Path:
    """Create a folder with the custom module."""
    folder.mkdir(parents=True)
    (folder / "elsewhere.py").write_text(FOREIGN)
    return folder


def whole(case: Case, folder: Path) -> tuple[float, float]:
    """Train without interruption; return the time until the run folder exists, and in total."""
    began = time.monotonic()
    process = start(case, folder, folder / "log")
    seen = 0.0
    while process.poll() is None:
        if not seen and (folder / "runs/run/version_0/config.yaml").exists():
            seen = time.monotonic() - began
        time.sleep(0.01)
    if process.returncode:
        sys.exit(f"{case.name} does not train:\n{(folder / 'log').read_text()[-2000:]}")
    return seen, time.monotonic() - began


def tensors(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and digest of every tensor and plain value in a checkpoint."""
    if isinstance(value, Tensor):
        dense = value.coalesce().to_dense() if value.is_sparse else value
        raw = dense.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
        yield path, hashlib.sha256(raw).hexdigest()
    elif isinstance(value, dict):
        for key in value.keys() - FILES:
            yield from tensors(value[key], f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for k, inner in enumerate(value):
            yield from tensors(inner, f"{path}/{k}")
    else:
        setting = "/param_groups/" in path and type(value) is int  # 0 is 0.0 there
        yield path, repr(float(value) if setting else value)


def checkpoint(folder: Path) -> dict[str, str]:
    """Return digests of the last checkpoint, without paths and counts that may differ."""
    path = folder / "checkpoints/last.ckpt"
    try:
        found = torch.load(path, weights_only=True)
    except pickle.UnpicklingError:  # values of the user's own, which is what is looked at
        found = torch.load(path, weights_only=False)
    kept = {
        k: found[k]
        for k in (
            "state_dict",
            "optimizer_states",
            "lr_schedulers",
            "exact",
            "callbacks",
            "global_step",
            "epoch",
        )
    }
    extra = {k: v for k, v in found.items() if k in ("training_weights", "current_model_state")}
    return dict(tensors(kept | extra))


def log_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv by step, without timings."""
    with (folder / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{k: v for k, v in sorted(row.items()) if k not in TIMED and v} for row in rows]


def events(folder: Path) -> list[tuple[str, int, float]]:
    """Return tag, step and value of every TensorBoard scalar, sorted."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = []
    for file in folder.glob("events.out.tfevents.*"):
        board = EventAccumulator(str(file), size_guidance={"scalars": 0})
        board.Reload()
        for tag in board.Tags()["scalars"]:
            if tag not in TIMED:
                found += [(tag, e.step, e.value) for e in board.Scalars(tag)]
    return sorted(found)


def first_batch(output: str) -> tuple[str, int]:
    """What a user's module of this folder has printed: all before its first batch, and its step."""
    found = re.search(r"The first batch, after (\d+) steps", output)
    return (output[: found.start()], int(found[1])) if found else (output, -1)


def difference(twin: Path, run: Path) -> str:
    """Return the first difference of a resumed run, or an empty string."""
    if len(list(run.parent.glob("version_*"))) != 1:
        return "a second version folder"
    return learnt(twin, run) or logged(twin, run)


def learnt(twin: Path, run: Path) -> str:
    """Return the first difference of two checkpoints, or an empty string."""
    ours, theirs = checkpoint(run), checkpoint(twin)
    keys = [k for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)]
    if keys:
        return f"{len(keys)} entries of the checkpoint, first {keys[0]}"
    metrics = [json.loads((each / "metrics.json").read_text()) for each in (run, twin)]
    return "" if metrics[0] == metrics[1] else "metrics.json"


def logged(twin: Path, run: Path) -> str:
    """Return the first log in which two runs differ, or an empty string."""
    if log_of(run) != log_of(twin):
        return "metrics.csv"
    return "" if events(run) == events(twin) else "TensorBoard's scalars"
