"""Loaders of any kind hand out the same batches after a resume."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, WeightedRandomSampler

from gdlightning.data.loader import BatchLoader, TensorRows
from gdlightning.data.resumable import ResumableLoader, make_resumable, not_exact
from gdlightning.random_state import random_state, set_random_state

COUNT = 10


class Noisy(Dataset[float]):
    """Draws its augmentation from the process, or from a generator of its own."""

    def __init__(self, own: np.random.Generator | None = None) -> None:
        self.own = own

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> float:
        noise = self.own.random() if self.own is not None else torch.rand(()).item()
        return index + noise


class Stream(IterableDataset[float]):
    """Has no length, and shuffles by an epoch that it counts itself."""

    epoch = 0

    def __init__(self) -> None:
        self.epoch = 0

    def __iter__(self) -> Iterator[float]:
        self.epoch += 1
        order = list(range(COUNT))
        random.Random(self.epoch).shuffle(order)
        yield from (k + torch.rand(()).item() for k in order)


class Counting(Sampler[int]):
    """Counts its epochs."""

    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(np.random.default_rng(self.epoch).permutation(COUNT).tolist())


class Lazy(Sampler[int]):
    """Draws each index when it is asked for, from a generator of Python's."""

    def __init__(self) -> None:
        self.rng = random.Random(3)

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        return (self.rng.randrange(COUNT) for _ in range(COUNT))


class Subclass(DataLoader[Any]):
    """A class of the user's."""


class Batches:
    """An iterable of the user's, with neither length nor state."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(torch.randn(4, 2).unbind())


class Stateful:
    """A loader that keeps its own position."""

    def __init__(self) -> None:
        self.next = 0

    def __iter__(self) -> Iterator[int]:
        for k in range(self.next, 4):
            self.next = (k + 1) % 4
            yield k

    def __len__(self) -> int:
        return 4

    def state_dict(self) -> dict[str, int]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.next = state["next"]


def loader(data: Any, **options: Any) -> DataLoader[Any]:
    return DataLoader(data, batch_size=3, **options)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(2)


KINDS: dict[str, Callable[[], Any]] = {
    "shuffle": lambda: loader(Noisy(), shuffle=True),
    "generator": lambda: loader(Noisy(), shuffle=True, generator=seeded()),
    "own generator": lambda: loader(Noisy(np.random.default_rng(1)), shuffle=True),
    "weighted": lambda: loader(
        Noisy(), sampler=WeightedRandomSampler([1.0] * COUNT, COUNT, generator=seeded())
    ),
    "counting sampler": lambda: loader(Noisy(), sampler=Counting()),
    "lazy sampler": lambda: loader(Noisy(), sampler=Lazy()),
    "stream": lambda: loader(Stream()),
    "subclass": lambda: Subclass(Noisy(), batch_size=3, shuffle=True),
    "iterable": Batches,
    "list": lambda: [torch.tensor([k]) for k in range(4)],
    "stateful": Stateful,
    "dictionary": lambda: {"a": loader(Noisy(), shuffle=True), "b": Batches()},
    "cycled": lambda: [loader(Noisy(), shuffle=True), DataLoader(Noisy(), batch_size=7)],
    "shortest": lambda: CombinedLoader([loader(Noisy(), shuffle=True), Stateful()], "min_size"),
    "own rows": lambda: BatchLoader(TensorRows(torch.arange(COUNT)), 3, shuffle=True, seed=1),
}


class Owner:
    """A module with loaders."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def train_dataloader(self) -> Any:
        return self.made


class Training:
    """Takes batches as Lightning does, and draws random numbers between them."""

    def __init__(self, kind: str, limit: int | None) -> None:
        owner: Any = Owner(KINDS[kind]())
        make_resumable(owner)
        self.loader: ResumableLoader = owner.train_dataloader()
        self.fetcher = _PrefetchDataFetcher()
        self.fetcher.setup(self.loader)
        self.loader.fetcher = self.fetcher
        self.limit, self.taken = limit, 0
        iter(self.fetcher)

    def step(self) -> Any:
        """The next batch, of the next epoch where this one is over."""
        if self.fetcher.done or self.taken == self.limit:
            iter(self.fetcher)
            self.taken = 0
        batch, _, _ = next(self.fetcher)
        self.taken += 1
        torch.rand(2), random.random(), np.random.rand()  # dropout and the like
        return batch

    def resume(self, saved: dict[str, Any]) -> None:
        """Continue from a save, in a process whose random state is another one."""
        torch.rand(7)
        self.loader.resume(saved["loader"], self.fetcher)
        self.taken = saved["taken"]
        self.fetcher.fetched += self.taken
        self.fetcher.done = saved["done"]
        set_random_state(saved["random"])

    def save(self) -> dict[str, Any]:
        """A checkpoint, through a file."""
        stream = io.BytesIO()
        state = {
            "loader": self.loader.state(),
            "taken": self.taken,
            "random": random_state(),
            "done": self.fetcher.done,
        }
        torch.save(state, stream)
        stream.seek(0)
        loaded: dict[str, Any] = torch.load(stream, weights_only=True)
        return loaded


@pytest.mark.parametrize("kind", KINDS)
@given(steps=st.integers(0, 13), limit=st.sampled_from([None, None, 2]))
def test_a_resumed_loader_hands_out_the_same_batches(
    kind: str, steps: int, limit: int | None
) -> None:
    torch.manual_seed(0), random.seed(0), np.random.seed(0)
    whole = Training(kind, limit)
    for _ in range(steps):
        whole.step()
    saved = whole.save()
    wanted = [str(whole.step()) for _ in range(9)]
    parts = Training(kind, limit)
    parts.resume(saved)
    if not saved["done"] and limit != saved["taken"]:  # of loaders whose own state is their rest
        assert [str(parts.step()) for _ in range(9)] == wanted


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_draw_the_same_numbers_again(persistent: bool) -> None:
    KINDS["workers"] = lambda: loader(
        Noisy(), shuffle=True, num_workers=1, persistent_workers=persistent
    )
    torch.manual_seed(0)
    whole = Training("workers", None)
    for _ in range(6):  # in the second epoch
        whole.step()
    saved = whole.save()
    wanted = [whole.step() for _ in range(4)]
    parts = Training("workers", None)
    parts.resume(saved)
    found = [parts.step() for _ in range(4)]
    order = [batch.floor().tolist() for batch in found]
    assert order == [batch.floor().tolist() for batch in wanted]
    if not persistent:
        assert [str(b) for b in found] == [str(b) for b in wanted]
    del KINDS["workers"]


def test_an_epoch_that_is_left_early_is_followed_by_another_order() -> None:
    rows = BatchLoader(TensorRows(torch.arange(COUNT)), 3, shuffle=True, seed=1)
    first = [next(iter(rows))[0].tolist() for _ in range(3)]
    assert len({str(batch) for batch in first}) == 3


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (loader(Noisy()), []),
        (loader(Noisy(), num_workers=1, persistent_workers=True), ["persistent_workers=True"]),
        (loader(Stream()), ["Stream"]),
        (Batches(), ["Batches"]),
        (Stateful(), []),
    ],
)
def test_what_is_not_exact_is_said(made: Any, words: list[str]) -> None:
    found = not_exact([made])
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))
