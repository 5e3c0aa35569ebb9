"""Adapters that add missing features to optimizers of some libraries."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from gdlightning.optimizers.state_serialization import PACKED, Packed

if TYPE_CHECKING:
    Base = Optimizer
else:
    Base = object


def adapted(cls: type[Optimizer]) -> type[Optimizer]:
    """Return the class, or a cached subclass of the same name if its library needs an adapter."""
    library = cls.__module__.split(".")[0]
    found: Any = cls
    if library == "pytorch_optimizer" and cls.__name__ in PACKED:
        found = _adapted(found, _packed)
    elif library in ADAPTERS:
        found = _adapted(found, ADAPTERS[library])
    return found  # type: ignore[no-any-return]


@functools.cache
def _adapted(cls: type[Optimizer], adapter: Callable[[], type]) -> type[Optimizer]:
    namespace = {
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
    }
    return type(cls.__name__, (adapter(), cls), namespace)


def _packed() -> type:
    return Packed


def _heavyball() -> type:
    import heavyball.utils

    # Compiling at the first step needs a compiler and takes minutes. The option compile_step still
    # compiles the step.
    heavyball.utils.compile_mode = None
    return Heavyball


class Heavyball(Base):
    """Adapter that supports schedules, and state_dicts without pickled code."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step with the current learning rates of the groups."""
        for group in self.param_groups:
            group["base_lr"] = group["lr"]  # prevents a warning about a changed learning rate
        return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the pickled schedule, which is rebuilt from the options."""
        state = super().state_dict()
        return {**state, "heavyball": _unpickled(state)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state with the dtype of each tensor; a pickled schedule in it is ignored."""
        super().load_state_dict({**state_dict, "heavyball": _unpickled(state_dict)})
        # torch has cast all tensors to the dtype of the parameters, but the bounds of PSGD are
        # float64.
        saved = [i for g in state_dict["param_groups"] for i in g["params"]]
        own = [p for g in self.param_groups for p in g["params"]]
        for index, parameter in zip(saved, own, strict=True):
            if index in state_dict["state"]:
                there = functools.partial(_copied, device=parameter.device)
                self.state[parameter] = tree_map(there, state_dict["state"][index])


def _copied(value: Any, device: torch.device) -> Any:
    return value.to(device, copy=True) if isinstance(value, Tensor) else value


def _unpickled(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in state.get("heavyball", {}).items() if k != "precond_schedule"}


class Torchao(Packed):
    """Adapter that steps without a compiler on a CPU, and saves quantised states as plain tensors.

    On a GPU, steps are compiled.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure, then step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if any(p.is_cuda for g in self.param_groups for p in g["params"]):
            super().step()
        else:
            with torch.compiler.set_stance("force_eager"):
                super().step()
        return loss


ADAPTERS: dict[str, Callable[[], type]] = {"heavyball": _heavyball, "torchao": lambda: Torchao}
