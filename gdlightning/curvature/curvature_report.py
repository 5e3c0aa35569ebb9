"""Curvature of a loss at a point: extreme eigenvalues, trace and adaptive sharpness."""

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
class MeasuredValue:
    """Measurement with its uncertainty.

    Args:
        value: measurement on the examples of the Hessian.
        bound: error of the method: a Lanczos bound, or the standard error of a trace.
        sampling: standard error due to examples outside the Hessian; 0 if there are none, None for
            a single batch.
        converged: whether the bound is within the tolerance.
    """

    value: float
    bound: float
    sampling: float | None
    converged: bool = True

    def times(self, factor: float) -> MeasuredValue:
        """Return the measurement times a factor."""
        sampling = None if self.sampling is None else self.sampling * factor
        return MeasuredValue(self.value * factor, self.bound * factor, sampling, self.converged)


@dataclass(frozen=True)
class Report:
    r"""Curvature of a mean loss at a point.

    Args:
        loss: value of the loss.
        gradient_norm: norm of its gradient.
        top: largest eigenvalues, in descending order.
        bottom: smallest eigenvalues, in ascending order.
        trace: sum of all eigenvalues.
        adaptive: largest eigenvalue of \|w\| H \|w\|, elementwise.
        ends: result of the Lanczos algorithm, with its Krylov space.
    """

    loss: float
    gradient_norm: float
    top: list[MeasuredValue]
    bottom: list[MeasuredValue]
    trace: MeasuredValue
    adaptive: MeasuredValue
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
    """Measure eigenvalues, trace and adaptive sharpness.

    Args:
        hessian: Hessian of the loss at the point.
        top: number of largest eigenvalues.
        bottom: number of smallest eigenvalues.
        steps: maximum number of products of the Lanczos algorithm.
        probes: number of random vectors for the trace.
        seed: seed of all random vectors.
        seen: fraction of all examples that the Hessian covers, 0 to 1.

    Raises:
        UserError: if the loss has no second derivative or is not finite.
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
) -> MeasuredValue:
    r"""Return the largest eigenvalue of \|w\| H \|w\|: the curvature along relative weight changes.

    It is the adaptive sharpness of Kwon et al. 2021 (arXiv:2102.11600) to second order. Unlike the
    Hessian, it is invariant under rescaling layers or units of a ReLU network without changing its
    function.

    Args:
        hessian: Hessian of the loss at the point.
        steps: maximum number of products of the Lanczos algorithm.
        seed: seed of its random start vector.
        seen: fraction of all examples that the Hessian covers.
    """
    return largest(hessian, hessian.point().abs(), steps=steps, seed=seed, seen=seen)


def largest(
    hessian: Hessian, scale: Tensor, *, steps: int = 40, seed: int = 0, seen: float = 0.0
) -> MeasuredValue:
    """Return the largest eigenvalue of D H D for a diagonal matrix D.

    Args:
        hessian: H.
        scale: diagonal of D, [N].
        steps: maximum number of products of the Lanczos algorithm.
        seed: seed of its random start vector.
        seen: fraction of all examples that the Hessian covers.
    """
    pair = extremes(Scaled(hessian, scale), 1, steps=steps, seed=seed).top[0]
    scaled = Eigenpair(pair.value, pair.bound, pair.converged, scale.to(pair.vector) * pair.vector)
    return measured(hessian, scaled, seen)


def measured(hessian: Hessian, pair: Eigenpair, seen: float) -> MeasuredValue:
    """Return an eigenvalue with its standard error due to the choice of examples.

    To first order, a change of the Hessian changes an eigenvalue by the curvature along its
    eigenvector. This curvature is measured on each batch, and batches are disjoint samples.
    """
    error = 0.0 if seen >= 1 else sampling_error(hessian, hessian.product(pair.vector)[1], seen)
    return MeasuredValue(pair.value, pair.bound, error, pair.converged)


def sampling_error(hessian: Hessian, values: Tensor, seen: float) -> float | None:
    """Return the standard error of the mean of a per-batch value; None for a single batch.

    Args:
        hessian: Hessian with the batches.
        values: value of each batch, float64 [batches].
        seen: fraction of all examples that the batches cover; the rest causes the error.
    """
    if seen >= 1:
        return 0.0
    count, weights = len(values), hessian.weights
    if count < 2:
        return None
    apart = weights * (values - weights @ values)
    return math.sqrt(float(apart.square().sum()) * count / (count - 1) * (1 - seen))


class _Recorder:
    """Hessian that records the curvature of each batch in each product."""

    def __init__(self, hessian: Hessian) -> None:
        self.hessian, self.recorded = hessian, list[Tensor]()
        self.size, self.dtype, self.device = hessian.size, hessian.dtype, hessian.device

    def __matmul__(self, vector: Tensor) -> Tensor:
        product, along = self.hessian.product(vector)
        self.recorded.append(along)
        return product


def _trace(hessian: Hessian, known: Extremes, probes: int, seed: int, seen: float) -> MeasuredValue:
    recorder = _Recorder(hessian)
    found = trace(recorder, probes, seed=seed, known=known.krylov)
    if not recorder.recorded and seen < 1:  # the trace was exact and needed no products
        recorder.recorded += [hessian.product(v)[1] for v in signs(hessian, probes, seed)]
    error = (
        sampling_error(hessian, torch.stack(recorder.recorded).mean(0), seen) if seen < 1 else 0.0
    )
    return MeasuredValue(found.value, found.error, error)
