"""Directions in the space of weights: random ones, and those between checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor

from gdlightning.landscape.plane import Weights


def random_direction(weights: Weights, generator: torch.Generator) -> dict[str, Tensor]:
    """A random direction, normalised filter by filter.

    Each filter of the direction (a convolution's output channel, a linear layer's neuron, an
    embedding's word) gets the norm of the same filter of the weights, so that nets whose weights
    differ in scale alone have the same landscape. Biases and the parameters of norms, all that
    have one dimension, stay where they are, as in the paper's own code (its ``biasbn``).

    Source: Li, Xu, Taylor, Studer, Goldstein, Visualizing the Loss Landscape of Neural Nets, 2018
    (https://arxiv.org/abs/1712.09913).

    Args:
        weights: of the checkpoint.
        generator: on the CPU.
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
    """The Euclidean norm of each filter, shape [filters]."""
    found: Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return found


def difference(start: Weights, end: Weights) -> dict[str, Tensor]:
    """From one set of weights to another."""
    return {name: end[name].to(weight) - weight for name, weight in start.items()}


def across(direction: Weights, other: Weights) -> dict[str, Tensor]:
    """The part of ``direction`` at a right angle to ``other``, as long as ``other``."""
    share = dot(direction, other) / max(dot(other, other), 1e-300)
    rest = {name: d - share * other[name] if name in other else d for name, d in direction.items()}
    rest |= {name: -share * o for name, o in other.items() if name not in direction}
    scale = (dot(other, other) / max(dot(rest, rest), 1e-300)) ** 0.5
    return {name: scale * d for name, d in rest.items()}


def dot(one: Weights, other: Weights) -> float:
    """The inner product, in float64."""
    return sum(
        float(torch.sum(d.double() * other[name].double()))
        for name, d in one.items()
        if name in other
    )
