"""What curvature says of a point: ends of the spectrum, trace, adaptive sharpness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.lanczos import Eigenpair, Extremes, extremes
from gdlightning.curvature.operator import Scaled, signs
from gdlightning.curvature.trace import trace


@dataclass(frozen=True)
class Measured:
    """A number with what is uncertain of it.

    Args:
        value: of the examples that were seen.
        bound: what the method may be off: a bound of Lanczos, or a standard error of a trace.
        sampling: standard error for the examples that were not seen; 0 if all were, None if one
            batch alone can't tell.
        converged: the bound is small.
    """

    value: float
    bound: float
    sampling: float | None
    converged: bool = True

    def times(self, factor: float) -> Measured:
        """The same in another unit."""
        sampling = None if self.sampling is None else self.sampling * factor
        return Measured(self.value * factor, self.bound * factor, sampling, self.converged)


@dataclass(frozen=True)
class Report:
    """The curvature of a mean loss at one point.

    Args:
        loss: its value.
        gradient_norm: of its gradient.
        top: the largest eigenvalues, largest first.
        bottom: the smallest, smallest first.
        trace: the sum of all.
        adaptive: the largest eigenvalue of \\|w\\| H \\|w\\|, elementwise.
        krylov: what Lanczos' method found, one random vector's view of the whole spectrum.
    """

    loss: float
    gradient_norm: float
    top: list[Measured]
    bottom: list[Measured]
    trace: Measured
    adaptive: Measured
    ends: Extremes


def examine(
    hessian: Hessian,
    *,
    top: int = 5,
    bottom: int = 2,
    steps: int = 40,
    probes: int = 10,
    seed: int = 0,
    seen: float = 0.0,
) -> Report:
    """Measure all of it.

    Args:
        hessian: of the loss at the point.
        top: how many of the largest eigenvalues.
        bottom: how many of the smallest.
        steps: products of Lanczos' method at most.
        probes: random vectors for the trace.
        seed: of all random vectors.
        seen: part of all examples that is in the Hessian, 0 to 1.

    Raises:
        UserError: the loss has no second derivative, or is not finite.
    """
    loss, gradient = hessian.slope()
    found = extremes(hessian, top, bottom, steps=steps, seed=seed)
    return Report(
        loss,
        float(torch.linalg.vector_norm(gradient)),
        [measured(hessian, pair, seen) for pair in found.top],
        [measured(hessian, pair, seen) for pair in found.bottom],
        _trace(hessian, found, probes, seed + 1, seen),
        adaptive_sharpness(hessian, steps=steps, seed=seed, seen=seen),
        found,
    )


def adaptive_sharpness(
    hessian: Hessian, *, steps: int = 40, seed: int = 0, seen: float = 0.0
) -> Measured:
    """The largest eigenvalue of \\|w\\| H \\|w\\|: curvature along relative changes of the weights.

    Rescaling the layers or units of a ReLU net against each other, which leaves its function as it
    is, changes the Hessian many-fold and this not at all: it is the adaptive sharpness of Kwon et
    al. 2021 (arXiv:2102.11600) to second order.

    Args:
        hessian: of the loss at the point.
        steps: products of Lanczos' method at most.
        seed: of its random start.
        seen: part of all examples that is in the Hessian.
    """
    return largest(hessian, hessian.point().abs(), steps=steps, seed=seed, seen=seen)


def largest(
    hessian: Hessian, scale: Tensor, *, steps: int = 40, seed: int = 0, seen: float = 0.0
) -> Measured:
    """The largest eigenvalue of D H D, for a diagonal D.

    Args:
        hessian: H.
        scale: the diagonal of D, [N].
        steps: products of Lanczos' method at most.
        seed: of its random start.
        seen: part of all examples that is in the Hessian.
    """
    pair = extremes(Scaled(hessian, scale), 1, steps=steps, seed=seed).top[0]
    turned = Eigenpair(pair.value, pair.bound, pair.converged, scale.to(pair.vector) * pair.vector)
    return measured(hessian, turned, seen)


def measured(hessian: Hessian, pair: Eigenpair, seen: float) -> Measured:
    """An eigenvalue with the standard error that comes from the choice of examples.

    To first order a change of the Hessian moves an eigenvalue by its curvature along the vector.
    That curvature is measured on each batch, and these are disjoint samples.
    """
    error = 0.0 if seen >= 1 else sampling_error(hessian, hessian.product(pair.vector)[1], seen)
    return Measured(pair.value, pair.bound, error, pair.converged)


def sampling_error(hessian: Hessian, values: Tensor, seen: float) -> float | None:
    """The standard error of the mean of a number of each batch; None for one batch.

    Args:
        hessian: whose batches are meant.
        values: one of each batch, float64 [batches].
        seen: part of all examples that they are; the rest is what is uncertain.
    """
    if seen >= 1:
        return 0.0
    count, weights = len(values), hessian.weights
    if count < 2:
        return None
    apart = weights * (values - weights @ values)
    return math.sqrt(float(apart.square().sum()) * count / (count - 1) * (1 - seen))


class _Noting:
    """The Hessian, with each product's curvature by batch noted."""

    def __init__(self, hessian: Hessian) -> None:
        self.hessian, self.noted = hessian, list[Tensor]()
        self.size, self.dtype, self.device = hessian.size, hessian.dtype, hessian.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        product, along = self.hessian.product(vector)
        self.noted.append(along)
        return product


def _trace(hessian: Hessian, known: Extremes, probes: int, seed: int, seen: float) -> Measured:
    noting = _Noting(hessian)
    found = trace(noting, probes, seed=seed, known=known.krylov)
    if not noting.noted and seen < 1:  # the whole spectrum is known
        noting.noted += [hessian.product(v)[1] for v in signs(hessian, probes, seed)]
    error = sampling_error(hessian, torch.stack(noting.noted).mean(0), seen) if seen < 1 else 0.0
    return Measured(found.value, found.error, error)
