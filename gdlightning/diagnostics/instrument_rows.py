"""Declared types of what a run's files say of its training, for a check when they are read."""

from __future__ import annotations

from typing import TypedDict


class Data(TypedDict, total=False):
    """Facts of the data."""

    examples: dict[str, int]
    repeated: float | None
    shared: dict[str, float]
    constant: int
    features: int
    entropy: float | None
    variance: float | None


class Head(TypedDict, total=False):
    """What the first row says: how the rest is to be read."""

    layers: list[str]
    optimizer: str
    steps: int | None
    decayed: list[str]
    data: Data
    warmup: int | None
    clip: str


class Spike(TypedDict):
    """A step whose loss stood far out; a loss that is not finite is null."""

    step: int
    loss: float | None
    typical: float
    examples: list[int] | None


class Ends(TypedDict):
    """Ends of the Hessian of a batch, λ·lr and its limit."""

    largest: float | None
    smallest: float | None
    times_lr: float | None
    limit: float | None


class MeasurementRow(TypedDict):
    """A number, and how far it may be off; null where it is not finite."""

    value: float | None
    bound: float | None
    sampling: float | None


class Stability(TypedDict):
    """λ·lr, and its limit for the optimizer."""

    at_peak: MeasurementRow
    limit: float | None
    formula: str


class Curvature(TypedDict):
    """The figures of ``gdl curvature`` that a finding needs."""

    top: list[MeasurementRow]
    bottom: list[MeasurementRow]
    adaptive_sharpness: MeasurementRow
    gradient_norm: float | None
    loss: float | None
    optimizer: str
    stability: Stability | None
