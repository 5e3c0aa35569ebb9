"""Loaders from elsewhere, made to go on in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch.utils.data import DataLoader


class Replayed(DataLoader[Any]):
    """A torch DataLoader that knows its position.

    To go on in the middle of an epoch it starts the epoch again from the random state that the
    epoch began with, and takes the batches that were seen without handing them out: the same
    samplers and workers then draw the same numbers. That costs their decoding once.

    Attributes:
        between: called before each batch is taken.
        start: torch's random state at the start of the epoch.
        position: batches of this epoch that were handed out.
    """

    between: Callable[[], None] | None = None
    position: ClassVar[int] = 0
    start: ClassVar[torch.Tensor | None] = None
    resumed: ClassVar[bool] = False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of an epoch, or the rest of one."""
        state: dict[str, Any] = self.__dict__
        skip = self.position if self.resumed else 0
        if skip and self.start is not None:
            torch.set_rng_state(self.start)
        state["start"], state["resumed"] = torch.get_rng_state(), False
        batches = super().__iter__()
        for _ in range(skip):
            next(batches)
        state["position"] = skip
        while True:
            between: Any = state.get("between")
            if between is not None:
                between()
            try:
                batch = next(batches)
            except StopIteration:
                return
            state["position"] = (self.position + 1) % len(self)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Position, and the random state of the epoch's start; none of an epoch not begun."""
        return {"position": self.position, "start": self.start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.__dict__.update(position=state["position"], start=state["start"], resumed=True)


def resumable(loaders: Any) -> Any:
    """The same loaders in the same nesting, each torch DataLoader able to go on mid-epoch.

    Loaders that keep their own position, that keep workers over epochs, or that have no length
    stay as they are.
    """
    if isinstance(loaders, dict):
        return {k: resumable(v) for k, v in loaders.items()}
    if isinstance(loaders, list | tuple):
        return type(loaders)(resumable(v) for v in loaders)
    if type(loaders) is DataLoader and not loaders.persistent_workers and _has_length(loaders):
        loaders.__class__ = Replayed
    return loaders


def make_resumable(owner: Any) -> None:
    """Let what ``owner.train_dataloader`` gives be resumable, without editing its class."""
    own = owner.train_dataloader
    owner.train_dataloader = lambda: resumable(own())


def _has_length(loader: DataLoader[Any]) -> bool:
    try:
        return len(loader) > 0
    except TypeError:
        return False
