"""Loaders of any kind, made to continue in the middle of an epoch."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset

from gdlightning import internals
from gdlightning.random_state import (
    find_generators,
    generator_states,
    random_state,
    set_generator_states,
    set_random_state,
)

State = dict[str, Any]


class ResumableLoader(CombinedLoader):
    """Training loaders in Lightning's container, with a position that a checkpoint can hold.

    A single loader with ``state_dict`` and ``load_state_dict`` is restored by these. Any other
    epoch is replayed: everything that the batches depend on (global random states, the generators
    of loaders, samplers, data sets and functions, counters of samplers and data sets, state dicts)
    is set to what it was when the epoch began, and the batches that were used are read and dropped.
    So samplers and workers draw the same numbers again. The cost is to read these batches once.

    Attributes:
        position: Batches of this epoch that were taken.
        fetcher: Lightning's data fetcher, which takes one batch ahead where there is no length.
    """

    def __init__(self, iterables: Any, mode: Any = "max_size_cycle") -> None:
        super().__init__(iterables, mode)
        self.position = 0
        self.fetcher: Any = None
        self._begin: State | None = None
        self._before_last: State | None = None
        self._over = False
        self._reused = False
        self._generators: dict[str, Any] = {}
        self._initial: dict[str, dict[str, int]] | None = None

    # As an iterator

    def __iter__(self) -> ResumableLoader:
        """Begin an epoch."""
        if self._initial is None:
            self._initial = self._counters()
        if not self._seeks:
            self._generators = self._find_generators()
        self._begin, self._before_last = None if self._seeks else self._everything(), None
        self._reused = any(_keeps_workers(loader) for loader in self.flattened)
        self.position, self._over = 0, False
        super().__iter__()
        return self

    def __next__(self) -> Any:
        if sized_len(self) is None:  # the fetcher takes a batch ahead
            self._before_last = self._everything()
        try:
            found = super().__next__()
        except StopIteration:
            self._over = True
            raise
        self.position += 1
        return found

    def _state_dicts(self) -> list[State]:
        """Leave nothing for Lightning to save: ``state`` is saved for every process."""
        return []

    # As a part of a checkpoint

    def state(self) -> State:
        """Return what ``resume`` needs, as plain values and tensors."""
        ahead = len(getattr(self.fetcher, "batches", ()))
        counts = not self._seeks or _is_lazy(self.flattened[0])  # else the loader counts by itself
        return {
            "begin": self._begin,
            "before_last": self._before_last if ahead else None,
            "held": self._held(),
            "position": self.position - ahead if counts else 0,
            "ahead": ahead,
            "over": not ahead and (self._over or _is_over(self.fetcher)),
            "reused": self._reused,
        }

    def resume(self, saved: State, fetcher: Any) -> None:
        """Continue where a state was saved.

        The generators of loaders are then as the last batch left them, not as training left them.

        Args:
            saved: What ``state`` returned.
            fetcher: Lightning's data fetcher, which is given the rest of the epoch.
        """
        self.fetcher = fetcher
        if self._seeks or not saved["over"]:
            self.reset()  # end the workers of the iterator that was begun before
            self._seek(saved) if self._seeks else self._replay(saved)
        if not saved["over"]:
            fetcher.iterator = self
            fetcher.reset()
        self.position, self._over = saved["position"], saved["over"]
        for _ in range(saved["ahead"]):
            fetcher.batches.append(next(self))
            fetcher.fetched += 1
        self._begin, self._reused = saved["begin"], saved["reused"]
        self._before_last = saved["before_last"]
        self._set_held(saved["held"], loaders=saved["over"] and not self._seeks)

    def _seek(self, saved: State) -> None:
        before: State | None = saved["before_last"]
        if before is not None:
            set_random_state(before["random"])
            set_generator_states(self._find_generators(), before["generators"])
        held = before["held"] if before is not None else saved["held"]
        # A generator that has not been started keeps the state of the epoch before: its loader
        # would take it for a position in the middle.
        starts = saved["over"] or saved["position"] == 0
        self._set_held(held, loaders=not (starts and _is_lazy(self.flattened[0])))
        super().__iter__()

    def _replay(self, saved: State) -> None:
        if saved["reused"]:  # the start of the workers must not draw from the epoch's generators
            super().__iter__()
        self._set_everything(saved["begin"])
        super().__iter__()
        for _ in range(saved["position"]):
            super().__next__()
        if saved["before_last"] is not None:
            self._set_everything(saved["before_last"], loaders=False)

    # What batches depend on

    @property
    def _seeks(self) -> bool:
        """Return whether the loader restores its own position."""
        return len(self.flattened) == 1 and has_state(self.flattened[0])

    def _everything(self) -> State:
        return {
            "random": random_state(),
            "generators": generator_states(self._generators),
            "held": self._held(),
        }

    def _set_everything(self, state: State, loaders: bool = True) -> None:
        set_random_state(state["random"])
        set_generator_states(self._find_generators(), state["generators"])
        self._set_held(state["held"], loaders)

    def _find_generators(self) -> dict[str, Any]:
        return find_generators({"train_dataloader": list(self.flattened)})

    def _held(self) -> State:
        """Return state dicts of loaders, and counters that have changed since they were made."""
        initial = self._initial or {}
        counters = {
            name: {k: v for k, v in now.items() if v != initial.get(name, {}).get(k)}
            for name, now in self._counters().items()
        }
        loaders = [ld.state_dict() if has_state(ld) else None for ld in self.flattened]
        return {"counters": {k: v for k, v in counters.items() if v}, "loaders": loaders}

    def _set_held(self, held: State, loaders: bool = True) -> None:
        owners = dict(self._owners())
        for name, counters in (self._initial or {}).items():
            if name in owners:
                vars(owners[name]).update(counters | held["counters"].get(name, {}))
        for loader, own in zip(self.flattened, held["loaders"] if loaders else (), strict=False):
            if own is not None and has_state(loader):
                loader.load_state_dict(own)

    def _counters(self) -> dict[str, dict[str, int]]:
        """Return the whole numbers that samplers, data sets and iterables hold, by owner."""
        return {
            name: {k: v for k, v in vars(owner).items() if type(v) is int}
            for name, owner in self._owners()
        }

    def _owners(self) -> Iterator[tuple[str, Any]]:
        """Yield the objects that may count epochs or batches without a ``state_dict``."""
        for k, loader in enumerate(self.flattened):
            if has_state(loader) and not _is_lazy(loader):
                continue
            parts = {"": loader}
            if isinstance(loader, DataLoader):
                sampler = loader.batch_sampler
                parts = {"dataset": loader.dataset, "sampler": loader.sampler,
                         "batch_sampler": sampler,
                         "batch_sampler.sampler": getattr(sampler, "sampler", None)}  # fmt: skip
            for name, part in parts.items():
                if hasattr(part, "__dict__"):
                    yield f"{k}.{name}", part


def make_resumable(owner: Any) -> None:
    """Let the loaders that ``owner.train_dataloader`` returns continue in the middle of an epoch.

    Args:
        owner: A LightningModule or data module; its class is not changed.
    """
    own = owner.train_dataloader

    def train_dataloader() -> ResumableLoader:
        loaders = own()
        if isinstance(loaders, CombinedLoader):
            return ResumableLoader(loaders.iterables, internals.combined_mode(loaders))
        return ResumableLoader(loaders)

    owner.train_dataloader = train_dataloader


def not_exact(loaders: Iterable[Any]) -> list[str]:
    """Return, in words, what of some loaders a resume cannot restore to the same bits."""
    found = []
    for loader in loaders:
        data = getattr(loader, "dataset", None)
        if has_state(loader):
            continue
        if getattr(loader, "persistent_workers", False) and getattr(loader, "num_workers", 0):
            found.append(
                "random numbers that the workers of a loader with persistent_workers=True draw are "
                "not restored. Set persistent_workers=False for an exact resume."
            )
        if isinstance(data, IterableDataset) or not isinstance(loader, DataLoader):
            what = type(data if isinstance(data, IterableDataset) else loader).__name__
            found.append(
                f"examples of an epoch may repeat or be missing, unless {what} yields them in the "
                f"same order each time it is started with the same random state: it has no "
                "state_dict, and is read again from the epoch's beginning."
            )
    return list(dict.fromkeys(found))


def has_state(loader: Any) -> bool:
    """Return whether a loader can save and load its own position."""
    return callable(getattr(loader, "state_dict", None)) and callable(
        getattr(loader, "load_state_dict", None)
    )


def _is_lazy(loader: Any) -> bool:
    """Return whether a loader begins an epoch with its first batch, not with ``iter``."""
    return inspect.isgeneratorfunction(getattr(type(loader), "__iter__", None))


def _keeps_workers(loader: Any) -> bool:
    """Return whether a loader holds on to the workers of an earlier epoch."""
    held: Mapping[str, Any] = getattr(loader, "__dict__", {})
    return bool(getattr(loader, "persistent_workers", False)) and held.get("_iterator") is not None


def _is_over(fetcher: Any) -> bool:
    return fetcher is not None and (
        fetcher.done or (fetcher.length is not None and fetcher.fetched >= fetcher.length)
    )
