"""Several optimizers as one torch Optimizer that shares its parts' groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer


class Chain(Optimizer):
    """Steps each of its parts; schedules, clipping and checkpoints see one optimizer.

    ``param_groups`` holds the parts' own group dictionaries, so that a schedule that writes ``lr``
    there writes to the parts. The state_dict is the list of the parts'.

    Args:
        parts: optimizers over disjoint parameters.
        names: of the parts, for errors and tables.
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
        """The groups of all parts, in order: the dictionaries themselves, not copies."""
        return [g for part in self.parts for g in part.param_groups]

    @param_groups.setter
    def param_groups(self, value: list[dict[str, Any]]) -> None:
        pass  # torch's own constructor sets an empty list: the groups are the parts'

    @property  # type: ignore[override]
    def state(self) -> MutableMapping[Tensor, Any]:
        """Parameter → state, looked up in the part that owns it."""
        return _State(self.parts)

    @state.setter
    def state(self, value: Any) -> None:
        pass  # likewise

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Groups belong to the parts: torch's own constructor calls this in vain."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure once, then step each part on the gradients it left."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def train(self) -> None:
        """Switch the parts that have modes to their training weights."""
        self._switch("train")

    def eval(self) -> None:
        """Switch the parts that have modes to their evaluation weights."""
        self._switch("eval")

    def _switch(self, mode: str) -> None:
        for part in self.parts:
            if hasattr(part, mode):
                getattr(part, mode)()

    def state_dict(self) -> dict[str, Any]:
        """The parts' state_dicts by position and name."""
        return {"parts": [part.state_dict() for part in self.parts], "names": self.names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load each part's state_dict.

        Raises:
            ValueError: the state comes from a chain of other parts.
        """
        if state_dict.get("names") != self.names:
            raise ValueError(
                f"The saved optimizer is a chain of {state_dict.get('names')}, not {self.names}."
            )
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


class _State(MutableMapping[Tensor, Any]):
    """The parts' states as one mapping; writes go to the part that holds the key."""

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
