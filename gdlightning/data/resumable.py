"""Resume data loaders of any kind in the middle of an epoch."""

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
    """Combined loader whose position in an epoch can be saved in a checkpoint.

    A single loader with ``state_dict`` and ``load_state_dict`` is restored with these methods. All
    other loaders are replayed: the state that the batches depend on (global random states,
    generators, counters of samplers and data sets, state dicts) is restored to the start of the
    epoch, and the batches that were already used are read and dropped, so that samplers and workers
    draw the same random numbers again. A resume therefore reads these batches once more.

    Attributes:
        position: The number of batches that were taken in this epoch.
        fetcher: Lightning's data fetcher, which prefetches a batch if the length is unknown.
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

    # Iteration

    def __iter__(self) -> ResumableLoader:
        """Start an epoch."""
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
        if sized_len(self) is None:  # the fetcher prefetches a batch
            self._before_last = self._everything()
        try:
            found = super().__next__()
        except StopIteration:
            self._over = True
            raise
        self.position += 1
        return found

    def _state_dicts(self) -> list[State]:
        """Return nothing for Lightning to save, because ``state`` is saved for each process."""
        return []

    # Checkpointing

    def state(self) -> State:
        """Return the state for ``resume`` as plain values and tensors."""
        ahead = len(getattr(self.fetcher, "batches", ()))
        counts = not self._seeks or _is_lazy(self.flattened[0])  # otherwise the loader counts
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
        """Continue from a saved state.

        The generators of the loaders have the state after the last batch, without later changes by
        the training step.

        Args:
            saved: The result of ``state``.
            fetcher: Lightning's data fetcher, which receives the rest of the epoch.
        """
        self.fetcher = fetcher
        if self._seeks or not saved["over"]:
            self.reset()  # ends the workers of the current iterator
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
        # A generator function that has not started keeps the state of the previous epoch, which its
        # loader would treat as a position in this epoch.
        starts = saved["over"] or saved["position"] == 0
        self._set_held(held, loaders=not (starts and _is_lazy(self.flattened[0])))
        super().__iter__()

    def _replay(self, saved: State) -> None:
        if saved["reused"]:  # starting the workers must not draw from the restored generators
            super().__iter__()
        self._set_everything(saved["begin"])
        super().__iter__()
        for _ in range(saved["position"]):
            super().__next__()
        if saved["before_last"] is not None:
            self._set_everything(saved["before_last"], loaders=False)

    # State that batches depend on

    @property
    def _seeks(self) -> bool:
        """True if the loader restores its own position."""
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
        """Return the state dicts of loaders, and the counters that have changed."""
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
        """Return the integer attributes of samplers, data sets and iterables by owner."""
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
                parts = {
                    "dataset": loader.dataset,
                    "sampler": loader.sampler,
                    "batch_sampler": sampler,
                    "batch_sampler.sampler": getattr(sampler, "sampler", None),
                }
            for name, part in parts.items():
                if hasattr(part, "__dict__"):
                    yield f"{k}.{name}", part


def make_resumable(owner: Any) -> None:
    """Make the loaders of ``owner.train_dataloader`` resumable in the middle of an epoch.

    Args:
        owner: A LightningModule or data module. Its class is not changed.
    """
    own = owner.train_dataloader

    def train_dataloader() -> ResumableLoader:
        loaders = own()
        if isinstance(loaders, CombinedLoader):
            return ResumableLoader(loaders.iterables, internals.combined_mode(loaders))
        return ResumableLoader(loaders)

    owner.train_dataloader = train_dataloader


def not_exact(loaders: Iterable[Any]) -> list[str]:
    """Return messages about loaders that a resume cannot restore exactly."""
    found = []
    for loader in loaders:
        data = getattr(loader, "dataset", None)
        if has_state(loader):
            continue
        if getattr(loader, "persistent_workers", False) and getattr(loader, "num_workers", 0):
            found.append(
                "the random state of workers with persistent_workers=True is not restored. Set "
                "persistent_workers=False for an exact resume."
            )
        if isinstance(data, IterableDataset) or not isinstance(loader, DataLoader):
            what = type(data if isinstance(data, IterableDataset) else loader).__name__
            found.append(
                f"{what} has no state_dict and is read again from the start of the epoch. Examples "
                "may repeat or be missing unless its order depends only on the random state."
            )
    return list(dict.fromkeys(found))


def has_state(loader: Any) -> bool:
    """Return whether a loader can save and load its own position."""
    return callable(getattr(loader, "state_dict", None)) and callable(
        getattr(loader, "load_state_dict", None)
    )


def _is_lazy(loader: Any) -> bool:
    """Return whether a loader starts an epoch at its first batch instead of ``iter``."""
    return inspect.isgeneratorfunction(getattr(type(loader), "__iter__", None))


def _keeps_workers(loader: Any) -> bool:
    """Return whether a loader reuses the workers of an earlier epoch."""
    held: Mapping[str, Any] = getattr(loader, "__dict__", {})
    return bool(getattr(loader, "persistent_workers", False)) and held.get("_iterator") is not None


def _is_over(fetcher: Any) -> bool:
    return fetcher is not None and (
        fetcher.done or (fetcher.length is not None and fetcher.fetched >= fetcher.length)
    )
