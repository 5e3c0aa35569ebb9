"""The stability limit of any optimizer whose steps are linear in its gradients, by trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Make = Callable[[Sequence[nn.Parameter]], Optimizer]

STEPS = 2000
"""Of a trial; averages that remember more than a part of it are not judged rightly."""
POINTS, ROUNDS = 64, 3
FAR = 1e60
"""Times the start, from where nothing that is stable comes back."""
LOWEST, HIGHEST = 0.02, 500.0
"""lr times curvature that is tried."""


def measured_limit(make: Make, lr: float) -> float | None:
    """The largest stable lr times curvature, to 4 digits, by runs on quadratics in float64.

    Args:
        make: an optimizer of the kind that is meant over these parameters, with this lr.
        lr: its learning rate, above 0.

    Returns:
        None where there is no such limit, since its steps are not linear in the gradients (as
        those of Adam, signs, matrix or trust-region methods), or where it can't be run so.
    """
    try:
        return _search(make, lr) if _linear(make, lr) else None
    except Exception:  # whatever a library raises: it can't be tried
        return None


def _search(make: Make, lr: float) -> float | None:
    """The first of ever finer points at which steps grow; None where all do, or none."""
    points = torch.logspace(math.log10(LOWEST), math.log10(HIGHEST), POINTS).double()
    for _ in range(ROUNDS):
        growing = _growing(make, points / lr).nonzero()
        if not len(growing) or int(growing[0]) == 0:
            return None
        low, high = points[int(growing[0]) - 1 : int(growing[0]) + 1].tolist()
        points = torch.linspace(low, high, POINTS, dtype=torch.float64)
    return float((low + high) / 2)


def _growing(make: Make, curvature: Tensor) -> Tensor:
    """Whether steps grow, bool [K], on one quadratic for each curvature."""
    path = _path(make, lambda w: curvature * w, torch.ones_like(curvature), STEPS)
    size = torch.stack(path).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    half, quarter = STEPS // 2, STEPS // 4
    before, after = size[half:-quarter].amax(0), size[-quarter:].amax(0)
    return (after > before) | (size.amax(0) > FAR)


def _linear(make: Make, lr: float) -> bool:
    """Whether paths from two starts add up to the path from their sum, for vector and matrix.

    The quadratic has coordinates that depend on each other: else methods that are nonlinear in
    each would pass.
    """
    generator = torch.Generator().manual_seed(0)
    one, two, mixed = torch.randn(3, 12, 12, generator=generator, dtype=torch.float64)
    turn, _ = torch.linalg.qr(mixed)
    matrix = turn @ torch.linspace(0.05, 0.4, 12, dtype=torch.float64).diag() @ turn.T / lr

    def end(start: Tensor) -> Tensor:
        path = _path(make, lambda w: (matrix @ w.flatten()).view_as(w), start, 60)
        return path[-1]

    def additive(shape: tuple[int, ...]) -> bool:
        u, w = one[0].reshape(shape), two[0].reshape(shape)
        apart = end(u) + end(w) - end(u + w)
        return not torch.equal(end(u), u) and bool(apart.abs().max() < 1e-7)

    return additive((12,)) and additive((4, 3))


def _path(make: Make, slope: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> list[Tensor]:
    """The weights after each step along a gradient that depends on them."""
    weight = nn.Parameter(start.clone())
    optimizer: Any = make([weight])
    if hasattr(optimizer, "train"):  # that of schedule-free ones
        optimizer.train()

    def closure() -> Tensor:
        weight.grad = slope(weight.detach())
        return (weight.detach() * weight.grad).sum() / 2

    path = []
    for _ in range(steps):
        optimizer.step(closure)
        path.append(weight.detach().clone())
    return path
