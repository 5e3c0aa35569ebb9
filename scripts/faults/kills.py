"""Kills real trainings at random instants, lets each go on, and compares it with its twin.

Each case is trained once without interruption. Then, again and again, it is started, killed with
SIGKILL after a random time (some several times), and started again by the same command with
``--resume auto`` until it ends. Every tensor of its last checkpoint, its metrics and its logs must
equal the twin's. Prints a Markdown table; the exit code is 1 if anything differs.

    python scripts/faults/kills.py --kills 200 --seed 0
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).parent.parent.parent
COMMON = ("--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu",
          "--trainer.log_every_n_steps", "1", "--watch.graph", "false")  # fmt: skip
TIMED = ("steps_per_second", "examples_per_second")
"""Columns of the log that no two trainings share."""

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
    """A training, by its flags."""

    name: str
    flags: tuple[str, ...]
    config: str = ""
    ranks: int = 1

    def command(self, run_root: Path) -> list[str]:
        """The command that starts it, and starts it again."""
        config = ("--config", str(ROOT / "configs" / f"{self.config}.yaml")) if self.config else ()
        return [
            sys.executable, "-m", "gdlightning", "fit", *config, "--name", "run",
            "--run_root", str(run_root), "--resume", "auto", *COMMON, *self.flags,
        ]  # fmt: skip


def _flags(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CASES = (
    Case("tabular, adamw, dropout, accumulation", _flags(
        "--trainer.max_epochs 6 --trainer.accumulate_grad_batches 3 --checkpoint.every_n_steps 2"),
        "tabular"),
    Case("tabular, full batch in pieces, quantile clipping", _flags(
        "--trainer.max_epochs 40 --data.batch_size full --data.micro_batch_size 100 "
        "--clip quantile --clip.warmup 3 --checkpoint.every_n_steps 5"), "tabular"),
    Case("vision, sgd, augmentation, validation within the epoch", _flags(
        "--trainer.max_steps 40 --trainer.val_check_interval 7 --model.net.width 4 "
        "--checkpoint.every_n_steps 3"), "vision"),
    Case("vision, schedule-free adamw, EMA of the weights", (*_flags(
        "--trainer.max_steps 40 --trainer.val_check_interval 10 --model.net.width 4 "
        "--optimizer schedule-free-adamw --schedule constant --checkpoint.every_n_steps 4"),
        "--callbacks", "[{name: ema-weight-averaging, decay: 0.9}]"), "vision"),
    Case("tabular, sam over adamw", _flags(
        "--trainer.max_epochs 6 --optimizer sam --optimizer.base adamw "
        "--checkpoint.every_n_steps 5"), "tabular"),
    Case("regression, lbfgs, full batch", _flags(
        "--trainer.max_epochs 12 --optimizer lbfgs --clip none --data.batch_size full "
        "--schedule constant --checkpoint.every_n_steps 1"), "tabular_regression"),
    Case("sequence, muon with companion, reduce on plateau", _flags(
        "--trainer.max_epochs 3 --model.net.width 8 --optimizer muon --schedule reduce_on_plateau "
        "--schedule.patience 0 --checkpoint.every_n_steps 6"), "sequence"),
    Case("text, sparse adagrad", _flags(
        "--trainer.max_steps 120 --trainer.val_check_interval 40 --data.ngrams 1 "
        "--checkpoint.every_n_steps 11"), "text"),
    Case("transformer, two ranks", _flags(
        "--trainer.max_steps 24 --trainer.val_check_interval 9 --model.net.width 16 "
        "--model.net.depth 1 --model.net.dropout 0.1 --data.context 32 --data.val_fraction 0.005 "
        "--data.test_fraction 0.005 --trainer.devices 2 --trainer.strategy ddp "
        "--checkpoint.every_n_steps 4"), "transformer", ranks=2),
    Case("a module from elsewhere, two workers", _flags(
        "--model elsewhere.Line --data elsewhere.Points --data.workers 2 --optimizer adamw "
        "--trainer.max_epochs 4 --checkpoint.every_n_steps 5")),
)  # fmt: skip


@dataclass
class Tally:
    """What came of a case's kills."""

    kills: int = 0
    at_start: int = 0
    equal: int = 0
    runs: int = 0
    failures: list[str] = field(default_factory=list)


def start(case: Case, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a training in a session of its own, so that all its processes can be killed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
    with log.open("ab") as stream:
        return subprocess.Popen(
            case.command(folder / "runs"), cwd=folder, env=environment, stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def prepare(folder: Path) -> Path:
    """A folder with the module from elsewhere in it."""
    folder.mkdir(parents=True)
    (folder / "elsewhere.py").write_text(FOREIGN)
    return folder


def whole(case: Case, folder: Path) -> tuple[float, float]:
    """Train without interruption; seconds until the run folder is there, and in all."""
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


def killed(case: Case, folder: Path, instants: list[float], tally: Tally) -> str:
    """Train with a kill at each instant (seconds after the run folder is held), then to the end."""
    for instant in instants:
        process = start(case, folder, folder / "log")
        run = folder / "runs/run/version_0"
        size = (folder / "log").stat().st_size
        while process.poll() is None and not _under_way(run, folder / "log", size):
            time.sleep(0.005)
        time.sleep(instant)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        tally.kills += 1
        tally.at_start += not list(run.glob("checkpoints/*.ckpt"))
    process = start(case, folder, folder / "log")
    code = process.wait()
    return "" if code == 0 else f"exit code {code}: {(folder / 'log').read_text()[-1500:]}"


def _under_way(run: Path, log: Path, before: int) -> bool:
    """Whether the process that was just started has its folder, new or resumed."""
    resumed = b"Going on with" in log.read_bytes()[before:]
    return resumed or (before == 0 and (run / "config.yaml").exists())


def tensors(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and digest of every tensor and plain value in a checkpoint."""
    if isinstance(value, Tensor):
        dense = value.coalesce().to_dense() if value.is_sparse else value
        raw = dense.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
        yield path, hashlib.sha256(raw).hexdigest()
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from tensors(inner, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for k, inner in enumerate(value):
            yield from tensors(inner, f"{path}/{k}")
    else:
        yield path, repr(value)


def checkpoint(folder: Path) -> dict[str, str]:
    """Digests of a run's last checkpoint, without the paths and counts that may differ."""
    found = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    callbacks = found["callbacks"]
    for state in callbacks.values():
        state.pop("best_path", None)
    kept = {k: found[k] for k in ("state_dict", "optimizer_states", "lr_schedulers", "exact",
                                  "callbacks", "global_step", "epoch")}  # fmt: skip
    extra = {k: v for k, v in found.items() if k in ("training_weights", "current_model_state")}
    return dict(tensors(kept | extra))


def log_of(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv, without timings, in the order of steps."""
    with (folder / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{k: v for k, v in sorted(row.items()) if k not in TIMED and v} for row in rows]


def events(folder: Path) -> list[tuple[str, int, float]]:
    """Tag, step and value of every scalar in TensorBoard's files, sorted."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = []
    for file in folder.glob("events.out.tfevents.*"):
        board = EventAccumulator(str(file), size_guidance={"scalars": 0})
        board.Reload()
        for tag in board.Tags()["scalars"]:
            if tag not in TIMED:
                found += [(tag, e.step, e.value) for e in board.Scalars(tag)]
    return sorted(found)


def difference(twin: Path, run: Path) -> str:
    """The first thing in which a resumed run differs from its twin; empty if none."""
    if len(list(run.parent.glob("version_*"))) != 1:
        return "a second version folder"
    ours, theirs = checkpoint(run), checkpoint(twin)
    keys = [k for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)]
    if keys:
        return f"{len(keys)} entries of the checkpoint, first {keys[0]}"
    if json.loads((run / "metrics.json").read_text()) != json.loads(
        (twin / "metrics.json").read_text()
    ):
        return "metrics.json"
    if log_of(run) != log_of(twin):
        return "metrics.csv"
    return "" if events(run) == events(twin) else "TensorBoard's scalars"


def one_case(case: Case, kills: int, seed: int, root: Path) -> Tally:
    """All the kills of a case."""
    chance = random.Random(f"{seed} {case.name}")
    twin = prepare(root / f"twin-{CASES.index(case)}")
    until, total = whole(case, twin)
    tally = Tally()
    while tally.kills < kills:
        folder = prepare(root / f"{CASES.index(case)}-{tally.runs}")
        count = 1 if chance.random() < 0.7 else 2
        instants = [chance.uniform(0, 0.9 * (total - until)) for _ in range(count)]
        instants = instants[: max(1, kills - tally.kills)]
        problem = killed(case, folder, instants, tally)
        problem = problem or difference(twin / "runs/run/version_0", folder / "runs/run/version_0")
        tally.runs += 1
        if problem:
            tally.failures.append(f"{folder}: {[round(i, 2) for i in instants]}: {problem}")
        else:
            tally.equal += 1
            for path in sorted(folder.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
        print(f"  {case.name}: {tally.kills}/{kills} {problem or 'equal'}", file=sys.stderr)
        if tally.runs >= 3 * kills + 3:
            break
    return tally


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default="", help="numbers of cases, such as 0,3; all if none")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    chosen = [CASES[int(k)] for k in given.cases.split(",") if k] or list(CASES)
    each = -(-given.kills // len(chosen))
    root = Path(tempfile.mkdtemp(prefix="gdl-kills-"))
    with ThreadPoolExecutor(given.jobs) as pool:
        tallies = list(pool.map(lambda c: one_case(c, each, given.seed, root), chosen))
    print(
        "| training | kills | before any checkpoint | runs | bitwise equal |\n|---|---|---|---|---|"
    )
    for case, tally in zip(chosen, tallies, strict=True):
        cells = (case.name, tally.kills, tally.at_start, tally.runs, tally.equal)
        print(f"| {' | '.join(map(str, cells))} |")
    sums = [sum(getattr(t, k) for t in tallies) for k in ("kills", "at_start", "runs", "equal")]
    print(f"| all | {' | '.join(map(str, sums))} |")
    for failure in (f for t in tallies for f in t.failures):
        print(failure)
    return int(any(t.failures for t in tallies))


if __name__ == "__main__":
    sys.exit(main())
