"""What the classes of some libraries lack before they can be trained with as all others are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from gdlightning.optimizers.packing import PACKED, Packed

if TYPE_CHECKING:
    Base = Optimizer
else:
    Base = object


def adapted(cls: type[Optimizer]) -> type[Optimizer]:
    """The class itself, or for some libraries a subclass of the same name, always the same one."""
    library = cls.__module__.split(".")[0]
    found: Any = cls
    if library == "pytorch_optimizer" and cls.__name__ in PACKED:
        found = _adapted(found, _packed)
    elif library in ADAPTERS:
        found = _adapted(found, ADAPTERS[library])
    return found  # type: ignore[no-any-return]


@functools.cache
def _adapted(cls: type[Optimizer], adapter: Callable[[], type]) -> type[Optimizer]:
    facts = {"__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (adapter(), cls), facts)


def _packed() -> type:
    return Packed


def _heavyball() -> type:
    import heavyball.utils

    # Its kernels are compiled at the first step by default, which takes a compiler and minutes;
    # its option compile_step still compiles where that is wanted.
    heavyball.utils.compile_mode = None
    return Heavyball


class Heavyball(Base):
    """Rates that a schedule may change, and states that are read without running code."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step at the groups' present rates."""
        for group in self.param_groups:
            group["base_lr"] = group["lr"]  # else it warns that a rate has changed
        return super().step(closure)

    def state_dict(self) -> dict[str, Any]:
        """Its state without the pickled schedule, which is made from the options."""
        state = super().state_dict()
        return {**state, "heavyball": _unpickled(state)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, each tensor in its own type; a pickle in it is not opened."""
        super().load_state_dict({**state_dict, "heavyball": _unpickled(state_dict)})
        # torch has cast all to the parameters' type; PSGD's bounds are float64.
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
    """Steps on a CPU without a compiler; on a GPU they are compiled, as the library means it.

    Its states of few bits are saved as their parts.
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
