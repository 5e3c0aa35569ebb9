"""Putting a module, its data and all random generators back as they were, bit by bit."""

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
"""Beside modules, what is put back with all that it holds."""
CONTAINERS = (dict, list, set, deque)
PLAIN = (str, int, float, type(None))


@contextlib.contextmanager
def untouched(*owners: Any) -> Iterator[None]:
    """Put everything back at the end of the block, however it ends.

    Of modules: weights, gradients, buffers, other tensors, plain attributes and containers, which
    parameters are trained, training or evaluation mode, hooks and replaced methods, the trainer. Of
    loaders and data modules: their attributes, with samplers and generators. Of the process: the
    random states of Python, NumPy and torch. Objects of other classes that these hold, such as data
    sets, are not looked into.

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
    """How to put back what was added."""

    def __init__(self) -> None:
        self._undo: list[Undo] = []
        self._held: dict[int, Any] = {}  # keeps them alive, so that an id stays one object's

    def add(self, value: Any, tensors: bool = False) -> None:
        """Remember a value and what it holds.

        Args:
            value: anything; what is not known here is left alone.
            tensors: keep the tensors too. Those of modules are, those of data are not.
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
        """Undo, the last first."""
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
            else:  # a trainer leaves it on the CPU
                value.data = content

    return undo


def _container(value: Any) -> Undo:
    content = copy.copy(value)

    def undo() -> None:
        value.clear()
        value.update(content) if hasattr(value, "update") else value.extend(content)

    return undo
