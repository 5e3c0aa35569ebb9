"""States of optimizers as plain values, so that checkpoints are read without running code.

Some classes keep a queue, an object or a kind of tensor of their own in their state, which
``torch.load`` with ``weights_only`` refuses, or reads only where their library is imported. They
are written as marked dictionaries, and made again on loading: only the classes that are named
here, by their attributes.
"""

from __future__ import annotations

import functools
import importlib
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

if TYPE_CHECKING:
    Base = Optimizer
else:
    Base = object

MARK = "gdlightning.packed"
QUEUE = 0
"""What marks a queue; a word would not survive torch's own loading."""
PACKED = frozenset(
    {"AdaShift", "APOLLO", "Conda", "Fira", "GaLore", "SCION", "SCIONLight", "ScalableShampoo"}
)
"""Classes of pytorch-optimizer with such states."""
UTILS = "pytorch_optimizer.optimizer.utils"
OBJECTS = frozenset(
    {
        f"{UTILS}.galore:GaLoreProjector",
        f"{UTILS}.preconditioner:PreConditioner",
        f"{UTILS}.partition:BlockPartitioner",
    }
    | {f"{UTILS}.graft:{kind}Graft" for kind in ("", "SGD", "AdaGrad", "RMSProp", "SQRTN")}
)

TENSORS = frozenset(
    f"torchao.optim.subclass_{file}:OptimState{kind}"
    for file, kind in (("4bit", "4bit"), ("8bit", "8bit"), ("fp8", "Fp8"))
)
"""Kinds of tensors, which say themselves of which parts they are made."""


class Packed(Base):
    """An optimizer whose ``state_dict`` holds plain values alone, and is loaded from them."""

    _loaded = False

    def state_dict(self) -> dict[str, Any]:
        """Its state, with queues and objects as marked dictionaries."""
        return _each(super().state_dict(), _plain)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, with queues and objects made again.

        Raises:
            ValueError: it holds an object of a class that is not known.
        """
        super().load_state_dict(_each(state_dict, _object))
        self._loaded = True

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step, before the first of which what was loaded is put in its place."""
        if self._loaded:
            _place(self)
            self._loaded = False
        return super().step(closure)


def _place(optimizer: Optimizer) -> None:
    """Make queues again and move objects' tensors; before the first step.

    Not sooner: Lightning moves states to their device after loading, and queues lose their length.
    """
    for parameter, state in optimizer.state.items():
        for key, value in list(state.items()):
            if isinstance(value, Mapping) and value.get(MARK) == QUEUE:
                state[key] = deque(value["items"], maxlen=value["length"])
            elif _kind(value) in OBJECTS:
                there = functools.partial(_moved, device=parameter.device)
                vars(value).update(tree_map(there, vars(value)))


def _each(state_dict: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    states = {
        key: {k: change(v) for k, v in state.items()} if isinstance(state, Mapping) else state
        for key, state in state_dict["state"].items()
    }
    groups = [{k: change(v) for k, v in group.items()} for group in state_dict["param_groups"]]
    return {**state_dict, "state": states, "param_groups": groups}


def _plain(value: Any) -> Any:
    if isinstance(value, deque):
        return {MARK: QUEUE, "items": list(value), "length": value.maxlen}
    if isinstance(value, Enum):
        return value.value
    if _kind(value) in OBJECTS:
        return {MARK: _kind(value), "attributes": {k: _plain(v) for k, v in vars(value).items()}}
    if _kind(value) in TENSORS:
        names, about = value.__tensor_flatten__()
        return {MARK: _kind(value), "parts": {k: getattr(value, k) for k in names}, "about": about}
    return value


def _object(value: Any) -> Any:
    kind = value.get(MARK, QUEUE) if isinstance(value, Mapping) else QUEUE
    if kind == QUEUE:
        return value
    if kind not in OBJECTS | TENSORS:
        raise ValueError(f"The saved optimizer holds an object that is not known: {kind}.")
    module, _, name = kind.partition(":")
    cls = getattr(importlib.import_module(module), name)
    if kind in TENSORS:
        return cls.__tensor_unflatten__(value["parts"], value["about"])
    made = cls.__new__(cls)
    vars(made).update({k: _object(v) for k, v in value["attributes"].items()})
    return made


def _kind(value: Any) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value
