"""A user's module, and data modules with loaders of every kind.

``loaders.py`` copies this file into the folder of each run. It does not import gdlightning.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
)

COUNT, BATCH = 32, 4


class Stopping:
    """Ask this process to stop at the moment that the variable ``STOP_AT`` names."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.begun = False

    def begin(self, trainer: L.Trainer) -> None:
        """Tell of this process's first batch."""
        if not self.begun:
            self.begun = True
            text = f"The first batch, after {trainer.global_step} steps."
            print(text, file=sys.stderr, flush=True)

    def __call__(self, event: str, trainer: L.Trainer) -> None:
        """Count an event, and stop if it is the one."""
        self.counts[event] += 1
        if os.environ.get("STOP_AT") == f"{event} {self.counts[event]}":
            text = f"Asking for a stop after {trainer.global_step} steps."
            print(text, file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)


class Net(L.LightningModule):
    """Regression with dropout; takes a batch, or a list or dict of several."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Tanh(), nn.Linear(8, 1))
        self.stopping = Stopping()

    def loss(self, batch: Any) -> Tensor:
        if isinstance(batch, dict):
            batch = list(batch.values())
        if not isinstance(batch[0], Tensor):
            parts = [self.loss(part) for part in batch if part is not None]
            return torch.stack(parts).mean()
        x, y = batch
        error: Tensor = self.net(x) - y
        return error.square().mean()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.stopping.begin(self.trainer)
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True, batch_size=BATCH)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.stopping("batch", self.trainer)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch), batch_size=BATCH)
        if not self.trainer.sanity_checking:
            self.stopping("validation batch", self.trainer)

    def on_train_epoch_end(self) -> None:
        self.stopping("epoch", self.trainer)


class Stop(L.Callback):
    """The same stops, for a module that is not the user's."""

    def __init__(self) -> None:
        self.stopping = Stopping()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.stopping.begin(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.stopping("batch", trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.stopping("validation batch", trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.stopping("epoch", trainer)


def points(count: int = COUNT, seed: int = 0) -> TensorDataset:
    """Inputs [count, 4] and targets [count, 1]."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=generator)
    return TensorDataset(x, x.sin().sum(1, keepdim=True))


def batches(count: int = COUNT, seed: int = 0) -> list[list[Tensor]]:
    """The same as whole batches."""
    found = points(count, seed).tensors
    return [list(pair) for pair in zip(*(t.split(BATCH) for t in found), strict=True)]


class Plain(L.LightningDataModule):
    """DataLoader(shuffle=True)."""

    def train_dataloader(self) -> Any:
        return DataLoader(points(), BATCH, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(points(12, 1), BATCH)


class OwnLoader(Net):
    """A module with its own train_dataloader."""

    def train_dataloader(self) -> Any:
        return DataLoader(points(), BATCH, shuffle=True)

    def val_dataloader(self) -> Any:
        return DataLoader(points(12, 1), BATCH)


class Generator(Plain):
    """DataLoader(generator=g)."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)

    def train_dataloader(self) -> Any:
        return DataLoader(points(), BATCH, shuffle=True, generator=self.generator)


class Noisy(Dataset[Any]):
    """Examples with noise from all three global generators."""

    def __init__(self) -> None:
        self.points = points()

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, k: int) -> Any:
        x, y = self.points[k]
        return x + 0.1 * torch.randn(4) + random.random() + np.random.normal(), y


class Augmented(Plain):
    """Random augmentation in the main process."""

    def train_dataloader(self) -> Any:
        return DataLoader(Noisy(), BATCH, shuffle=True)


class Workers(Plain):
    """Random augmentation in two workers."""

    def train_dataloader(self) -> Any:
        return DataLoader(Noisy(), BATCH, shuffle=True, num_workers=2)


class PersistentWorkers(Plain):
    """Persistent workers."""

    def train_dataloader(self) -> Any:
        return DataLoader(
            Noisy(), BATCH, shuffle=True, num_workers=2, persistent_workers=True, prefetch_factor=2
        )


class Stream(IterableDataset[Any]):
    """A stream with a shuffle buffer, shared out among workers."""

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        buffer: list[Any] = []
        for pair in list(zip(*points().tensors, strict=True))[first::step]:
            buffer.append(pair)
            if len(buffer) > 5:
                x, y = buffer.pop(random.randrange(len(buffer)))
                yield x + 0.1 * torch.randn(4), y
        yield from buffer


class SizedStream(Stream):
    """A stream that knows its length."""

    def __len__(self) -> int:
        return COUNT


class Endless(Plain):
    """An IterableDataset without a length."""

    def train_dataloader(self) -> Any:
        return DataLoader(Stream(), BATCH)


class Sized(Plain):
    """An IterableDataset with a length."""

    def train_dataloader(self) -> Any:
        return DataLoader(SizedStream(), BATCH)


class StreamWorkers(Plain):
    """An IterableDataset in two workers."""

    def train_dataloader(self) -> Any:
        return DataLoader(Stream(), BATCH, num_workers=2)


class Mixing(DataLoader[Any]):
    """A DataLoader with its own signature, that mixes the examples of each batch."""

    def __init__(self, strength: float) -> None:
        super().__init__(points(), batch_size=BATCH, shuffle=True)
        self.strength = strength

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for x, y in super().__iter__():
            share = np.random.beta(self.strength, self.strength)
            order = torch.randperm(len(x))
            yield [share * t + (1 - share) * t[order] for t in (x, y)]


class Subclass(Plain):
    """A subclass of DataLoader."""

    def train_dataloader(self) -> Any:
        return Mixing(0.4)


class NumpyBatches(Sampler[list[int]]):
    """Batches in an order of numpy's global generator."""

    def __len__(self) -> int:
        return COUNT // BATCH

    def __iter__(self) -> Iterator[list[int]]:
        yield from np.random.permutation(COUNT).reshape(-1, BATCH).tolist()


class BatchSampler(Plain):
    """A batch sampler on numpy's global generator."""

    def train_dataloader(self) -> Any:
        return DataLoader(points(), batch_sampler=NumpyBatches())


class NumpyOrder(Sampler[int]):
    """An order of its own np.random.Generator."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(5)

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        yield from self.generator.permutation(COUNT).tolist()


class NumpySampler(Plain):
    """A sampler with its own np.random.Generator."""

    def train_dataloader(self) -> Any:
        return DataLoader(points(), BATCH, sampler=NumpyOrder())


class PythonOrder(Sampler[int]):
    """An order of its own random.Random, drawn one by one."""

    def __init__(self) -> None:
        self.generator = random.Random(5)

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        return (self.generator.randrange(COUNT) for _ in range(COUNT))


class PythonSampler(Plain):
    """A sampler with its own random.Random."""

    def train_dataloader(self) -> Any:
        return DataLoader(points(), BATCH, sampler=PythonOrder())


class EpochOrder(Sampler[int]):
    """An order that follows from the epoch that Lightning names."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.epoch)
        yield from torch.randperm(COUNT, generator=generator).tolist()


class SetEpoch(Plain):
    """A sampler with set_epoch."""

    def train_dataloader(self) -> Any:
        return DataLoader(points(), BATCH, sampler=EpochOrder())


class CountedOrder(EpochOrder):
    """An order that follows from how often it was asked for."""

    def set_epoch(self, epoch: int) -> None:
        pass

    def __iter__(self) -> Iterator[int]:
        order = list(super().__iter__())
        self.epoch += 1
        yield from order


class CountedEpochs(Plain):
    """A sampler that counts epochs by itself."""

    def train_dataloader(self) -> Any:
        return DataLoader(points(), BATCH, sampler=CountedOrder())


class Weighted(Plain):
    """WeightedRandomSampler(generator=g)."""

    def train_dataloader(self) -> Any:
        generator = torch.Generator().manual_seed(9)
        weights = torch.linspace(0.1, 1, COUNT).tolist()
        return DataLoader(
            points(), BATCH, sampler=WeightedRandomSampler(weights, COUNT, generator=generator)
        )


class TwoInDict(Plain):
    """A dict of two loaders."""

    def train_dataloader(self) -> Any:
        return {
            "labelled": DataLoader(points(), BATCH, shuffle=True),
            "other": DataLoader(Noisy(), BATCH, shuffle=True),
        }


class LongestCycle(Plain):
    """CombinedLoader of unequal lengths, max_size_cycle."""

    mode: Any = "max_size_cycle"

    def train_dataloader(self) -> Any:
        short = DataLoader(points(20, 2), BATCH, shuffle=True)
        return CombinedLoader([DataLoader(Noisy(), BATCH, shuffle=True), short], self.mode)


class Shortest(LongestCycle):
    """CombinedLoader of unequal lengths, min_size."""

    mode = "min_size"


class Longest(LongestCycle):
    """CombinedLoader of unequal lengths, max_size."""

    mode = "max_size"


class ListOfBatches(Plain):
    """A plain list of batches, which Lightning takes for a list of loaders of rows."""

    def train_dataloader(self) -> Any:
        return batches()


class Prepared(list[Any]):
    """Batches in memory."""


class Sequence(Plain):
    """A list of batches that Lightning takes for one loader."""

    def train_dataloader(self) -> Any:
        return Prepared(batches())


class Shuffling:
    """An iterable without a length that draws a new order each time."""

    def __iter__(self) -> Iterator[Any]:
        found = batches()
        random.shuffle(found)
        return iter(found)


class OwnIterable(Plain):
    """An own iterable class without a length."""

    def train_dataloader(self) -> Iterable[Any]:
        return Shuffling()


class Resumable:
    """A loader that keeps its own position, as torchdata's StatefulDataLoader does."""

    def __init__(self) -> None:
        self.epoch, self.position, self.left = 0, 0, False

    def __len__(self) -> int:
        return COUNT // BATCH

    def __iter__(self) -> Iterator[Any]:
        first, self.left = (self.position if self.left else 0), False
        generator = torch.Generator().manual_seed(self.epoch)
        order = torch.randperm(len(self), generator=generator).tolist()
        found = batches()
        for number in range(first, len(self)):
            self.position = number + 1
            yield found[order[number]]
        self.epoch, self.position = self.epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.position, self.left = state["epoch"], state["position"], True


class Stateful(Plain):
    """A loader with state_dict and load_state_dict."""

    def train_dataloader(self) -> Any:
        return Resumable()


class OwnNoise(Noisy):
    """Examples with noise of the dataset's own generator."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(11)

    def __getitem__(self, k: int) -> Any:
        x, y = self.points[k]
        return x + 0.3 * torch.randn(4, generator=self.generator), y


class OwnAugmentation(Plain):
    """A dataset with its own generator in the main process."""

    def train_dataloader(self) -> Any:
        return DataLoader(OwnNoise(), BATCH, shuffle=True)
