"""The stability limit of any optimizer that is linear in its gradients, measured on quadratics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Make = Callable[[Sequence[nn.Parameter]], Optimizer]

STEPS = 2000
"""Number of steps per trial. Longer memories of the optimizer are not judged correctly."""
POINTS, ROUNDS = 64, 3
FAR = 1e60
"""Distance relative to the start beyond which a trial counts as unstable."""
LOWEST, HIGHEST = 0.02, 500.0
"""Range of lr × curvature that is searched."""


def measured_limit(make: Make, lr: float) -> float | None:
    """Measure the largest stable lr × curvature to 4 digits, on quadratics in float64.

    Args:
        make: factory of the optimizer, with this learning rate.
        lr: learning rate; positive.

    Returns:
        The limit; None if there is none, because steps are not linear in the gradients (Adam, sign,
        matrix and trust-region methods), or if the optimizer cannot run on a quadratic.
    """
    try:
        return _search(make, lr) if _linear(make, lr) else None
    except Exception:  # third-party optimizers may raise anything
        return None


def _search(make: Make, lr: float) -> float | None:
    """Refine the first point at which steps grow; return None if all or no points are stable."""
    points = torch.logspace(math.log10(LOWEST), math.log10(HIGHEST), POINTS).double()
    for _ in range(ROUNDS):
        growing = _growing(make, points / lr).nonzero()
        if not len(growing) or int(growing[0]) == 0:
            return None
        low, high = points[int(growing[0]) - 1 : int(growing[0]) + 1].tolist()
        points = torch.linspace(low, high, POINTS, dtype=torch.float64)
    return float((low + high) / 2)


def _growing(make: Make, curvature: Tensor) -> Tensor:
    """Return whether steps grow, bool [K], on one quadratic per curvature."""
    path = _path(make, lambda w: curvature * w, torch.ones_like(curvature), STEPS)
    size = torch.stack(path).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    half, quarter = STEPS // 2, STEPS // 4
    before, after = size[half:-quarter].amax(0), size[-quarter:].amax(0)
    return (after > before) | (size.amax(0) > FAR)


def _linear(make: Make, lr: float) -> bool:
    """Return whether trajectories from two starts add up to the one from their sum.

    The quadratic couples the coordinates, to detect methods that are nonlinear in each coordinate.
    Vectors and matrices are tested.
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
    """Return the weights after each step, with gradients from ``slope``."""
    weight = nn.Parameter(start.clone())
    optimizer: Any = make([weight])
    if hasattr(optimizer, "train"):  # schedule-free optimizers
        optimizer.train()

    def closure() -> Tensor:
        weight.grad = slope(weight.detach())
        return (weight.detach() * weight.grad).sum() / 2

    path = []
    for _ in range(steps):
        optimizer.step(closure)
        path.append(weight.detach().clone())
    return path
