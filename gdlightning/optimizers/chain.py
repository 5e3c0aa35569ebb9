"""Several optimizers combined in one ``torch.optim.Optimizer``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class Chain(Optimizer):
    """Optimizer that steps several optimizers over disjoint parameters.

    ``param_groups`` contains the group dictionaries of the parts themselves, so a schedule that
    sets ``lr`` also sets it in the parts. The state_dict contains the state_dicts of the parts.

    Args:
        parts: optimizers over disjoint parameters.
        names: names of the parts, for error messages and tables.

    Raises:
        ValueError: if a parameter belongs to two parts.
    """

    def __init__(self, parts: Sequence[Optimizer], names: Sequence[str]) -> None:
        self.parts, self.names = list(parts), list(names)
        seen: set[int] = set()
        for part in self.parts:
            for parameter in (p for g in part.param_groups for p in g["params"]):
                if id(parameter) in seen:
                    raise ValueError("A parameter belongs to two parts of a chain.")
                seen.add(id(parameter))
        groups = [g for part in self.parts for g in part.param_groups]
        super().__init__([p for g in groups for p in g["params"]], {})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Groups of all parts in order: the dictionaries themselves, not copies."""
        return [g for part in self.parts for g in part.param_groups]

    @param_groups.setter
    def param_groups(self, value: list[dict[str, Any]]) -> None:
        pass  # the constructor of Optimizer assigns an empty list

    @property  # type: ignore[override]
    def state(self) -> MutableMapping[Tensor, Any]:
        """Mapping from each parameter to its state in the part that owns it."""
        return _State(self.parts)

    @state.setter
    def state(self, value: Any) -> None:
        pass  # the constructor of Optimizer assigns an empty dict

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Do nothing: groups belong to the parts. Called by the constructor of ``Optimizer``."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure once, then step each part."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def train(self) -> None:
        """Switch parts with modes to their training weights."""
        self._switch("train")

    def eval(self) -> None:
        """Switch parts with modes to their evaluation weights."""
        self._switch("eval")

    def _switch(self, mode: str) -> None:
        for part in self.parts:
            if hasattr(part, mode):
                getattr(part, mode)()

    def state_dict(self) -> dict[str, Any]:
        """Return the state_dicts and names of the parts."""
        return {"parts": [part.state_dict() for part in self.parts], "names": self.names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state_dict of each part.

        Raises:
            ValueError: if the state comes from a chain of different optimizers.
        """
        if state_dict.get("names") != self.names:
            raise ValueError(
                f"The saved state is of a chain of {state_dict.get('names')}, not {self.names}."
            )
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


class _State(MutableMapping[Tensor, Any]):
    """States of the parts as one mapping; writes go to the part that owns the key."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = parts

    def _owner(self, key: Tensor) -> Optimizer:
        for part in self.parts:
            if key in part.state:
                return part
        raise KeyError(key)

    def __getitem__(self, key: Tensor) -> Any:
        return self._owner(key).state[key]

    def __setitem__(self, key: Tensor, value: Any) -> None:
        self._owner(key).state[key] = value

    def __delitem__(self, key: Tensor) -> None:
        del self._owner(key).state[key]

    def __iter__(self) -> Iterator[Tensor]:
        for part in self.parts:
            yield from part.state

    def __len__(self) -> int:
        return sum(len(part.state) for part in self.parts)
