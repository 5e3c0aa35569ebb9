"""A data loader that gathers batches by index and can save its position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

CHUNK_EXAMPLES = 4096
"""Examples in memory that are gathered at once and then split into small batches."""


class Rows(Protocol):
    """A set of examples from which batches are taken by index.

    If the optional attribute ``plain`` is True, taking a large batch and splitting it is equivalent
    to taking small batches.
    """

    def __len__(self) -> int:
        """Return the number of examples."""
        ...

    def take(self, index: Tensor) -> Any:
        """Return the examples at ``index`` (int64, shape [B]) as a batch."""
        ...


class TensorRows:
    """Examples in memory: nested tuples of tensors whose first dimension is the example."""

    plain = True

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        first: Any = self.tensors[0]
        while isinstance(first, tuple):
            first = first[0]
        return len(first)

    def take(self, index: Tensor) -> Any:
        """Return the examples at ``index`` in the same nesting."""
        return _gather(self.tensors, index)


class Subset:
    """A subset of the examples of another set.

    Args:
        rows: The other set.
        index: The indices of the examples, int64 of shape [N].
    """

    def __init__(self, rows: Rows, index: Tensor) -> None:
        self.rows, self.index = rows, index
        self.plain = getattr(rows, "plain", False)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: Tensor) -> Any:
        """Return the examples at ``index`` of this subset as a batch."""
        return self.rows.take(self.index[index])


class BatchLoader:
    """Data loader whose order depends only on ``seed`` and the epoch.

    Args:
        rows: the examples.
        batch_size: examples a batch on this device.
        shuffle: a new order each epoch.
        seed: of the order.
        rank: of this process among ``world_size``, which share the examples out evenly.
        world_size: the number of processes.

    Attributes:
        index: The examples of the last batch, int64 of shape [B].
        reorder: The number of times a new order was requested.
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
        """Examples per epoch on this process."""
        return -(-len(self.rows) // self.world_size)

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """Start the next epoch, or continue a restored one."""
        if not self._resumed and self.position:  # the last epoch was interrupted
            self.epoch, self.position = self.epoch + 1, 0
        self._resumed = False
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        # Read with the first batch: a state may be loaded after Lightning has called iter().
        start, self._resumed = self.position, False
        order = self._order()
        sizes = [len(part) for part in order.split(self.batch_size)]
        batches = self._chunked(order[start * self.batch_size :])
        for number, index in enumerate(order.split(self.batch_size)):
            if number < start:
                continue
            # Updated before the yield, because no batch is requested after the last one.
            self.position = (number + 1) % len(sizes)
            self.epoch += self.position == 0
            self.index = index
            yield next(batches) if batches is not None else self.rows.take(index)

    def _chunked(self, order: Tensor) -> Iterator[Any] | None:
        """Return batches that are gathered several at once, or None if this is not possible."""
        count = CHUNK_EXAMPLES // self.batch_size
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
        if self.world_size > 1:  # the last ranks repeat examples to take as many steps
            order = order.repeat(1 + self.world_size // count)[: self.examples * self.world_size]
            if len(order) < self.examples * self.world_size:
                order = torch.cat([order, order[: self.examples * self.world_size - len(order)]])
            order = order[self.rank :: self.world_size]
        return order

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the position in it, to resume with the remaining batches."""
        return {"epoch": self.epoch, "position": self.position, "reorder": self.reorder}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the last batch of a saved state."""
        self.epoch, self.position = state["epoch"], state["position"]
        self.reorder = max(self.reorder, state.get("reorder", 0))  # a rollback may ask for more
        self._resumed = True


def _parts(tensors: Any, size: int) -> Iterator[Any]:
    """Split a nested tuple of tensors along the first dimension."""
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
    """Split ``range(count)`` randomly into disjoint index sets.

    Args:
        count: The number of examples.
        fractions: The fraction of each set, such as ``(0.7, 0.15, 0.15)``. The first set gets the
            remainder after rounding.
        seed: The seed of the shuffle.
        labels: The class of each example, shape [count], for a stratified split.

    Returns:
        The sorted indices of each set, int64.
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
