"""A loader that gathers whole batches by index and knows its own position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

AT_ONCE = 4096
"""Examples in memory that are gathered at once, where a batch is a small part of them."""


class Rows(Protocol):
    """A set of examples that can hand out any of them as one batch.

    Where it has a true attribute ``plain``, a batch is the same whether it is taken by itself or as
    a part of a larger one.
    """

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def take(self, index: Tensor) -> Any:
        """The batch of the examples at ``index`` (int64, shape [B])."""
        ...


class TensorRows:
    """Examples held in memory: nested tuples of tensors whose first dimension counts examples."""

    plain = True

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        first: Any = self.tensors[0]
        while isinstance(first, tuple):
            first = first[0]
        return len(first)

    def take(self, index: Tensor) -> Any:
        """The examples at ``index``, in the same nesting."""
        return _gather(self.tensors, index)


class Subset:
    """Some of the examples of another set."""

    def __init__(self, rows: Rows, index: Tensor) -> None:
        self.rows, self.index = rows, index
        self.plain = getattr(rows, "plain", False)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: Tensor) -> Any:
        """The batch at ``index`` of this subset."""
        return self.rows.take(self.index[index])


class BatchLoader:
    """Iterates over ``rows`` in batches, in an order that depends on ``seed`` and epoch alone.

    Args:
        rows: the examples.
        batch_size: examples a batch on this device.
        shuffle: a new order each epoch.
        seed: of the order.
        rank: of this process among ``world_size``, which share the examples out evenly.
        world_size: the number of processes.

    Attributes:
        index: the examples of the last batch, int64 [B].
        reorder: how often a new order of the data was asked for; 0 at first.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.rows, self.batch_size, self.shuffle, self.seed = rows, batch_size, shuffle, seed
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.position = 0
        self.index = torch.empty(0, dtype=torch.int64)
        self.reorder = 0
        self._resumed = False

    @property
    def examples(self) -> int:
        """Examples that this process sees in an epoch."""
        return -(-len(self.rows) // self.world_size)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """Begin the next epoch, or continue the one that was loaded."""
        if not self._resumed and self.position:  # the last epoch was left early
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        # Read with the first batch: a state may be loaded after Lightning has called iter().
        start, self._resumed = self.position, False
        order = self._order()
        sizes = [len(part) for part in order.split(self.batch_size)]
        batches = self._at_once(order[start * self.batch_size :])
        for number, index in enumerate(order.split(self.batch_size)):
            if number < start:
                continue
            # Before the batch is handed out: nobody asks again after an epoch's last one.
            self.position = (number + 1) % len(sizes)
            self.epoch += self.position == 0
            self.index = index
            yield next(batches) if batches is not None else self.rows.take(index)

    def _at_once(self, order: Tensor) -> Iterator[Any] | None:
        """The batches as parts of several that are gathered at once; None where they can't be."""
        count = AT_ONCE // self.batch_size
        if count < 2 or not getattr(self.rows, "plain", False):
            return None
        gathered = (self.rows.take(part) for part in order.split(count * self.batch_size))
        return (batch for several in gathered for batch in _parts(several, self.batch_size))

    def _order(self) -> Tensor:
        count = len(self.rows)
        if self.shuffle:
            seed = self.seed * 1_000_003 + self.epoch + self.reorder * 7_919_000_041
            generator = torch.Generator().manual_seed(seed % 2**63)
            order = torch.randperm(count, generator=generator)
        else:
            order = torch.arange(count)
        if self.world_size > 1:  # the last ranks repeat the first examples, so that all step alike
            order = order.repeat(1 + self.world_size // count)[: self.examples * self.world_size]
            if len(order) < self.examples * self.world_size:
                order = torch.cat([order, order[: self.examples * self.world_size - len(order)]])
            order = order[self.rank :: self.world_size]
        return order

    def state_dict(self) -> dict[str, int]:
        """Return epoch and position, so that a resumed run sees the batches that are left."""
        return {"epoch": self.epoch, "position": self.position, "reorder": self.reorder}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the batch that was handed out last."""
        self.epoch, self.position = state["epoch"], state["position"]
        self.reorder = max(self.reorder, state.get("reorder", 0))  # a rollback may ask for more
        self._resumed = True


def _parts(tensors: Any, size: int) -> Iterator[Any]:
    """A nested tuple cut along its first dimension."""
    if isinstance(tensors, Tensor):
        return iter(tensors.split(size))
    return zip(*(_parts(t, size) for t in tensors), strict=True)


def _gather(tensors: Any, index: Tensor) -> Any:
    if isinstance(tensors, Tensor):
        return tensors.index_select(0, index)
    return tuple(_gather(t, index) for t in tensors)


def split(
    count: int, fractions: Sequence[float], seed: int, labels: Tensor | None = None
) -> list[Tensor]:
    """Seeded, disjoint index sets covering ``range(count)``.

    Args:
        count: number of examples.
        fractions: of the parts, e.g. ``(0.7, 0.15, 0.15)``; the first takes what rounding leaves.
        seed: of the shuffle.
        labels: class of each example (shape [count]); when given every class is split alike.

    Returns:
        One sorted int64 tensor a part.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in fractions]
    groups = [torch.arange(count)]
    if labels is not None:
        groups = [torch.nonzero(labels == c).flatten() for c in torch.unique(labels)]
    for group in groups:
        shuffled = group[torch.randperm(len(group), generator=generator)]
        start = 0
        for k, fraction in reversed(list(enumerate(fractions))):
            size = len(group) - start if k == 0 else round(len(group) * fraction)
            parts[k].append(shuffled[start : start + size])
            start += size
    return [torch.cat(p).sort().values for p in parts]
