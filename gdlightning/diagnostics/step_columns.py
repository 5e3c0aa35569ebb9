"""The measured steps of a run, as columns of numbers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
NAMES = ("loss", "gain", "promised", "grad_norm", "update_ratio", "lr")
"""Numbers of a measured step; NaN where there is none."""
ROUNDING = 3e-6
"""A promised change of the loss below this share of it drowns in single precision."""


def numbers(values: Collection[float | None]) -> array[float]:
    """Return numbers from JSON, NaN in place of null.

    Raises:
        TypeError: one of them is something else.
        OverflowError: one of them is too large.
    """
    try:
        return array("d", values)  # type: ignore[arg-type]
    except TypeError:
        return array("d", [math.nan if v is None else v for v in values])


class Steps:
    """Columns of the measured steps, in the order of the file.

    Attributes:
        first_scale: part of the net → root mean square of its output at the first of them.
    """

    def __init__(self) -> None:
        self._steps, self._examples = array("q"), array("q")
        self._numbers = {name: array("d") for name in NAMES}
        self._ends, self._grads, self._weights = array("q"), array("d"), array("d")
        self._dead: dict[str, array[float]] = {}
        self.first_scale: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def append(self, step: int, row: Mapping[str, Any]) -> None:
        """Add a measured step.

        Raises:
            ValueError: a value is of another type, which is named; nothing is added.
        """
        count, name = len(self._steps), ""
        try:
            for name, column in self._numbers.items():
                value = row.get(name)
                column.append(math.nan if value is None else value)
            name = "examples"
            self._examples.append(row.get("examples", 1))
            name = "grads"
            self._grads += numbers(row.get("grads", ()))
            name = "weights"
            self._weights += numbers(row.get("weights", ()))
            if len(self._weights) != len(self._grads):
                raise TypeError("there are others than grads")
            name = "dead"
            self._add_dead(count, row.get("dead", {}))
            if not count:
                name = "scale"
                scale = row.get("scale", {})
                self.first_scale = dict(zip(scale, numbers(scale.values()), strict=True))
        except (TypeError, OverflowError, AttributeError) as error:
            self._cut(count)
            raise ValueError(f"{name}: {error}") from None
        self._ends.append(len(self._grads))
        self._steps.append(step)

    def _add_dead(self, count: int, dead: Mapping[str, float | None]) -> None:
        for name in dead.keys() - self._dead.keys():
            self._dead[name] = array("d", [math.nan]) * count
        for name, column in self._dead.items():
            value = dead.get(name)
            column.append(math.nan if value is None else value)

    def _cut(self, count: int) -> None:
        """Remove what was added of a step that could not be added whole."""
        end = self._ends[-1] if self._ends else 0
        del self._grads[end:], self._weights[end:], self._examples[count:]
        for column in (*self._numbers.values(), *self._dead.values()):
            del column[count:]

    @property
    def step(self) -> NDArray[np.int64]:
        """Optimizer steps before each."""
        return np.array(self._steps, np.int64)

    @property
    def examples(self) -> NDArray[np.int64]:
        """Examples of each, over all devices."""
        return np.array(self._examples, np.int64)

    @property
    def loss(self) -> Numbers:
        """Loss of its batch before the step."""
        return np.array(self._numbers["loss"])

    @property
    def promised(self) -> Numbers:
        """Gradient times step."""
        return np.array(self._numbers["promised"])

    @property
    def gain(self) -> Numbers:
        """Change of the loss over what the gradient promised; NaN where rounding hides it."""
        gain, seen = np.array(self._numbers["gain"]), abs(self.promised) > ROUNDING * abs(self.loss)
        return np.where(seen & np.isfinite(gain), gain, math.nan)

    @property
    def grad_norm(self) -> Numbers:
        """Norm of the gradient before clipping."""
        return np.array(self._numbers["grad_norm"])

    @property
    def update_ratio(self) -> Numbers:
        """Norm of the step over that of the weights."""
        return np.array(self._numbers["update_ratio"])

    @property
    def lr(self) -> Numbers:
        """Largest learning rate of the groups; NaN where there is none."""
        return np.array(self._numbers["lr"])

    @property
    def dead(self) -> dict[str, Numbers]:
        """Part of the net → share of its rectified units that are 0 for all of the batch."""
        return {name: np.array(column) for name, column in self._dead.items()}

    def all_layers(self) -> tuple[NDArray[np.int64], Numbers, Numbers]:
        """Return the steps that have as many matrices as the first, with all of ``layers``."""
        ends = np.array(self._ends, np.int64)
        count = int(ends[0]) if len(ends) else 0
        begins = np.concatenate([[0], ends])[:-1][np.diff(ends, prepend=0) == count]
        places = begins[:, None] + np.arange(count)
        steps = self.step[np.diff(ends, prepend=0) == count]
        return steps, np.array(self._grads)[places], np.array(self._weights)[places]

    def layers(self, place: int) -> tuple[array[float], array[float]]:
        """Return the norms of the matrices' gradients and weights, in the order of the head."""
        begin, end = self._ends[place - 1] if place else 0, self._ends[place]
        return self._grads[begin:end], self._weights[begin:end]
