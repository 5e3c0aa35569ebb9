"""The measured steps of a run, stored as columns."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
NAMES = ("loss", "gain", "promised", "grad_norm", "update_ratio", "lr")
"""Names of the numbers of a measured step. A missing number is NaN."""
MIN_RELATIVE_CHANGE = 3e-6
"""Predicted relative change of the loss below which float32 rounding dominates."""


def numbers(values: Collection[float | None]) -> array[float]:
    """Convert numbers from JSON; null becomes NaN.

    Raises:
        TypeError: If a value is not a number.
        OverflowError: If a number is too large.
    """
    try:
        return array("d", values)  # type: ignore[arg-type]
    except TypeError:
        return array("d", [math.nan if v is None else v for v in values])


class Steps:
    """Columns of the measured steps, in the order of the file.

    Attributes:
        first_scale: Root mean square of the output of each module at the first measured step.
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
            ValueError: If a value has the wrong type. Nothing is added then.
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
                raise TypeError("expected as many as grads")
            name = "dead"
            self._add_dead(count, row.get("dead", {}))
            if not count:
                name = "scale"
                scale = row.get("scale", {})
                self.first_scale = dict(zip(scale, numbers(scale.values()), strict=True))
        except (TypeError, OverflowError, AttributeError) as error:
            self._truncate(count)
            raise ValueError(f"{name}: {error}") from None
        self._ends.append(len(self._grads))
        self._steps.append(step)

    def _add_dead(self, count: int, dead: Mapping[str, float | None]) -> None:
        for name in dead.keys() - self._dead.keys():
            self._dead[name] = array("d", [math.nan]) * count
        for name, column in self._dead.items():
            value = dead.get(name)
            column.append(math.nan if value is None else value)

    def _truncate(self, count: int) -> None:
        """Remove the values of a step that could not be added completely."""
        end = self._ends[-1] if self._ends else 0
        del self._grads[end:], self._weights[end:], self._examples[count:]
        for column in (*self._numbers.values(), *self._dead.values()):
            del column[count:]

    @property
    def step(self) -> NDArray[np.int64]:
        """Number of optimizer steps before each measured step."""
        return np.array(self._steps, np.int64)

    @property
    def examples(self) -> NDArray[np.int64]:
        """Examples per step, over all devices."""
        return np.array(self._examples, np.int64)

    @property
    def loss(self) -> Numbers:
        """Loss of the batch before the step."""
        return np.array(self._numbers["loss"])

    @property
    def promised(self) -> Numbers:
        """Change of the loss predicted by the gradient: gradient times step."""
        return np.array(self._numbers["promised"])

    @property
    def gain(self) -> Numbers:
        """Gain ratio; NaN if the predicted change is lost in rounding."""
        gain = np.array(self._numbers["gain"])
        significant = abs(self.promised) > MIN_RELATIVE_CHANGE * abs(self.loss)
        return np.where(significant & np.isfinite(gain), gain, math.nan)

    @property
    def grad_norm(self) -> Numbers:
        """Gradient norm before clipping."""
        return np.array(self._numbers["grad_norm"])

    @property
    def update_ratio(self) -> Numbers:
        """Ratio of the norm of the step to the norm of the weights."""
        return np.array(self._numbers["update_ratio"])

    @property
    def lr(self) -> Numbers:
        """Largest learning rate of the parameter groups, or NaN."""
        return np.array(self._numbers["lr"])

    @property
    def dead(self) -> dict[str, Numbers]:
        """Fraction of ReLU units per module that are 0 for all examples of the batch."""
        return {name: np.array(column) for name, column in self._dead.items()}

    def all_layers(self) -> tuple[NDArray[np.int64], Numbers, Numbers]:
        """Return the steps with as many matrices as the first one, and their ``layers``."""
        ends = np.array(self._ends, np.int64)
        count = int(ends[0]) if len(ends) else 0
        begins = np.concatenate([[0], ends])[:-1][np.diff(ends, prepend=0) == count]
        places = begins[:, None] + np.arange(count)
        steps = self.step[np.diff(ends, prepend=0) == count]
        return steps, np.array(self._grads)[places], np.array(self._weights)[places]

    def layers(self, place: int) -> tuple[array[float], array[float]]:
        """Return the gradient norms and weight norms of the matrices of one measured step.

        Args:
            place: The index of the measured step.
        """
        begin, end = self._ends[place - 1] if place else 0, self._ends[place]
        return self._grads[begin:end], self._weights[begin:end]
