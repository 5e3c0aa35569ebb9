"""Bitwise restoration of a module, its data and all random generators."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as L
import torch
from torch import Generator, Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, Sampler

from gdlightning.data.loader import BatchLoader
from gdlightning.random_state import random_state, set_random_state

Undo = Callable[[], Any]
OWNERS = (L.LightningDataModule, DataLoader, Sampler, BatchSampler, BatchLoader)
"""Classes other than modules whose attributes are restored."""
CONTAINERS = (dict, list, set, deque)
PLAIN = (str, int, float, type(None))


@contextlib.contextmanager
def untouched(*owners: Any) -> Iterator[None]:
    """Restore everything at the end of the block, even after an error.

    In modules: weights, gradients, buffers, other tensors, plain attributes and containers,
    ``requires_grad``, mode, hooks, replaced methods and the trainer. In loaders and data modules:
    attributes, including samplers and generators. In the process: the random states of Python,
    NumPy and torch. Objects of other classes, such as datasets, are not restored.

    Args:
        owners: modules, data modules, loaders, or containers of them.
    """
    state, kept = random_state(), Kept()
    kept.add(owners)
    try:
        yield
    finally:
        kept.put_back()
        set_random_state(state)


class Kept:
    """Snapshot of objects that can be restored."""

    def __init__(self) -> None:
        self._undo: list[Undo] = []
        self._held: dict[int, Any] = {}  # keeps objects alive, so that ids stay unique

    def add(self, value: Any, tensors: bool = False) -> None:
        """Add a value and everything that it contains.

        Args:
            value: any object; objects of unknown classes are ignored.
            tensors: whether to copy tensors, as for modules but not for data.
        """
        if isinstance(value, PLAIN) or id(value) in self._held:
            return
        self._held[id(value)] = value
        if isinstance(value, Tensor):
            if tensors:
                self._undo.append(_tensor(value, self))
        elif isinstance(value, Generator):
            self._undo.append(functools.partial(value.set_state, value.get_state()))
        elif isinstance(value, CONTAINERS):
            self._undo.append(_container(value))
            for inner in list(value.values() if isinstance(value, dict) else value):
                self.add(inner, tensors)
        elif isinstance(value, tuple):
            for inner in value:
                self.add(inner, tensors)
        elif isinstance(value, (nn.Module, *OWNERS)):
            self._undo.append(_container(vars(value)))
            for inner in list(vars(value).values()):
                self.add(inner, tensors or isinstance(value, nn.Module))

    def put_back(self) -> None:
        """Restore all values in reverse order."""
        for undo in reversed(self._undo):
            undo()


def _tensor(value: Tensor, kept: Kept) -> Undo:
    content, required = value.detach().clone(), value.requires_grad
    gradient = value.grad if value.is_leaf else None
    if gradient is not None:
        kept.add(gradient, tensors=True)

    def undo() -> None:
        if value.is_leaf:
            value.requires_grad_(required)
            value.grad = gradient
        with torch.no_grad():
            if value.device == content.device:
                value.detach().copy_(content)
            else:  # the trainer moved it to the CPU
                value.data = content

    return undo


def _container(value: Any) -> Undo:
    content = copy.copy(value)

    def undo() -> None:
        value.clear()
        value.update(content) if hasattr(value, "update") else value.extend(content)

    return undo
