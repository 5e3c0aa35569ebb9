"""A user's module, data module and a callback that injects faults.

``scenarios.py`` copies this file into the folder of each run. It does not import gdlightning.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Line(L.LightningModule):
    """Regression with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss: Tensor = (self.net(x) - y).square().mean()
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", (self.net(x) - y).square().mean())


class Remembering(Line):
    """Regression with a state of plain Python objects."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen["steps"] += 1
        return super().training_step(batch, batch_idx) / (1 + self.seen["steps"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mine"] = {"seen": self.seen, "where": Path("a/b")}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.seen = checkpoint["mine"]["seen"]


class Points(L.LightningDataModule):
    """A DataLoader with shuffle."""

    def dataset(self, count: int) -> TensorDataset:
        x = torch.randn(count, 4, generator=torch.Generator().manual_seed(count))
        return TensorDataset(x, x.sum(1, keepdim=True))

    def train_dataloader(self) -> Any:
        return DataLoader(self.dataset(32), 4, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(self.dataset(8), 4)


class Shuffled:
    """A custom loader without a length."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(random.sample(self.batches, len(self.batches)))


class Batches(Points):
    """A loader without torch."""

    def train_dataloader(self) -> Any:
        return Shuffled(list(super().train_dataloader()))


class Happens(L.Callback):
    """Does what the variable ``HAPPENS`` says: ``stop SIGTERM 7`` is what, how, at which step."""

    def __init__(self) -> None:
        self.begun = False

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if not self.begun:
            self.begun = True
            text = f"The first batch, after {trainer.global_step} steps."
            print(text, file=sys.stderr, flush=True)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        what, how, step = os.environ.get("HAPPENS", "nothing - -1").split()
        if trainer.global_step != int(step) or os.environ.pop("HAPPENS", None) is None:
            return
        print(f"Now: {what} {how}.", file=sys.stderr, flush=True)
        if what == "stop":
            os.kill(os.getpid(), getattr(signal, how))
        elif what == "wait":
            Path("waiting").touch()
            while not Path("go").exists():
                time.sleep(0.01)
        elif what == "remove":
            shutil.rmtree(str(trainer.log_dir), ignore_errors=True)
        elif what == "rename":
            run = Path(str(trainer.log_dir))
            run.rename(run.with_name(f"aside-{len(list(run.parent.glob('aside-*')))}"))
