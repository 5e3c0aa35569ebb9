"""Base classes of the references."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Weights: TypeAlias = dict[str, Array]

# A numpy scalar, since a dataclass takes no array as default; it broadcasts all the same.
ZERO = cast(Array, np.float64(0.0))


class Problem(Protocol):
    """Loss that changes per step like that of mini-batches; steps start at 1."""

    def gradient(self, weights: Weights, step: int) -> Weights: ...

    def curvature(self, weights: Weights, direction: Weights, step: int) -> Weights:
        """Return the Hessian times a direction."""
        ...

    def noise(self, step: int) -> Weights:
        """Return a normal random vector with the shape of the weights."""
        ...


class Reference(ABC):
    """An optimizer of all weights together.

    ``eta`` is the schedule's factor of the learning rate, 1 where there is no schedule.
    """

    @abstractmethod
    def step(self, weights: Weights, problem: Problem, eta: float) -> Weights: ...

    def evaluation(self, weights: Weights) -> Weights:
        """Return the evaluation weights."""
        return weights


@dataclass(kw_only=True)
class Rule(ABC):
    """An optimizer that treats each tensor separately, with a state per tensor.

    Args:
        lr: the learning rate.
        weight_decay: λ; added to the gradient as λw where the docstring says nothing else.
    """

    lr: float
    weight_decay: float = 0.0
    t: int = field(default=0, init=False)

    @abstractmethod
    def update(self, w: Array, g: Array, eta: float) -> Array:
        """Return the weights after another step."""


class Tensorwise(Reference):
    """Function from a name to the rule of a tensor."""

    def __init__(self, make: Callable[[str], Rule]) -> None:
        self.make = make
        self.rules: dict[str, Rule] = {}

    def step(self, weights: Weights, problem: Problem, eta: float) -> Weights:
        step = 1 + max((rule.t for rule in self.rules.values()), default=0)
        return self.update(weights, problem.gradient(weights, step), eta)

    def update(self, weights: Weights, gradient: Weights, eta: float) -> Weights:
        found = {}
        for name, w in weights.items():
            rule = self.rules.setdefault(name, self.make(name))
            rule.t += 1
            found[name] = rule.update(w, gradient[name], eta)
        return found


def rms(x: Array) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(x**2)))
