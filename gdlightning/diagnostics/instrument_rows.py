"""Types of the records in a run's files, used to validate them when they are read."""

from __future__ import annotations

from typing import TypedDict


class Data(TypedDict, total=False):
    """Statistics of the data."""

    examples: dict[str, int]
    repeated: float | None
    shared: dict[str, float]
    constant: int
    features: int
    entropy: float | None
    variance: float | None


class Head(TypedDict, total=False):
    """The first row: metadata of the run."""

    layers: list[str]
    optimizer: str
    steps: int | None
    decayed: list[str]
    data: Data
    warmup: int | None
    clip: str


class Spike(TypedDict):
    """A step whose loss is an outlier; a non-finite loss is null."""

    step: int
    loss: float | None
    typical: float
    examples: list[int] | None


class Ends(TypedDict):
    """Extreme eigenvalues of the Hessian of a batch, λ·lr and its stability limit."""

    largest: float | None
    smallest: float | None
    times_lr: float | None
    limit: float | None


class MeasurementRow(TypedDict):
    """A value with its error bounds; a non-finite number is null."""

    value: float | None
    bound: float | None
    sampling: float | None


class Stability(TypedDict):
    """λ·lr and the stability limit of the optimizer."""

    at_peak: MeasurementRow
    limit: float | None
    formula: str


class Curvature(TypedDict):
    """The results of ``gdl curvature`` that a check needs."""

    top: list[MeasurementRow]
    bottom: list[MeasurementRow]
    adaptive_sharpness: MeasurementRow
    gradient_norm: float | None
    loss: float | None
    optimizer: str
    stability: Stability | None
