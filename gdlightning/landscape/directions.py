"""Directions in weight space: random, or between checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor

from gdlightning.landscape.plane import Weights


def random_direction(weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    """Return a filter-normalised random direction.

    Each filter (an output channel of a convolution, a row of a linear layer, a vector of an
    embedding) gets the norm of the same filter of the weights. Networks that only differ in the
    scale of their weights then have the same landscape. Biases and parameters of norms, which have
    one dimension, are excluded, as with ``biasbn`` in the authors' code (Li et al. 2018,
    arXiv:1712.09913).

    Args:
        weights: weights of the checkpoint.
        generator: random generator on the CPU.
    """
    found = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            continue
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        scale = norms(weight) / norms(drawn).clamp(min=1e-30)
        found[name] = drawn * scale.view(-1, *[1] * (weight.ndim - 1))
    return found


def norms(weight: Tensor) -> Tensor:
    """Return the Euclidean norm of each filter, [filters]."""
    found: Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return found


def difference(start: Weights, end: Weights) -> dict[str, Tensor]:
    """Return the difference from one set of weights to another."""
    return {name: end[name].to(weight) - weight for name, weight in start.items()}


def across(direction: Weights, other: Weights) -> dict[str, Tensor]:
    """Return the component of ``direction`` orthogonal to ``other``, scaled to the same length."""
    share = dot(direction, other) / max(dot(other, other), 1e-300)
    rest = {name: d - share * other[name] if name in other else d for name, d in direction.items()}
    rest |= {name: -share * o for name, o in other.items() if name not in direction}
    scale = (dot(other, other) / max(dot(rest, rest), 1e-300)) ** 0.5
    return {name: scale * d for name, d in rest.items()}


def dot(one: Weights, other: Weights) -> float:
    """Return the inner product in float64."""
    return sum(
        float(torch.sum(d.double() * other[name].double()))
        for name, d in one.items()
        if name in other
    )
