"""Optimizer states as plain values, for checkpoints that load without running code.

Some classes keep a queue, an object or a tensor subclass in their state. ``torch.load`` with
``weights_only`` rejects these, or can only load them if their library is imported. They are saved
as marked dictionaries and rebuilt on loading, for a fixed list of classes.
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
"""Mark of a queue. A string would not survive ``Optimizer.load_state_dict``."""
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
"""Tensor subclasses, which define their inner tensors themselves."""


class Packed(Base):
    """Optimizer whose state_dict only contains plain values."""

    _loaded = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state with queues and objects as marked dictionaries."""
        return _each(super().state_dict(), _plain)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state and rebuild queues and objects.

        Raises:
            ValueError: if the state contains an object of an unknown class.
        """
        super().load_state_dict(_each(state_dict, _object))
        self._loaded = True

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step; before the first step after loading, finish rebuilding the state."""
        if self._loaded:
            _place(self)
            self._loaded = False
        return super().step(closure)


def _place(optimizer: Optimizer) -> None:
    """Rebuild queues and move the tensors of objects to their device, before the first step.

    This cannot be done on loading: Lightning later moves states to their device, and queues would
    lose their maximum length.
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
        raise ValueError(f"The saved optimizer state contains an unknown object: {kind}.")
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
