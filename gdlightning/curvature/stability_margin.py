"""Comparison of the sharpness times learning rate with the stability limit of the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

from gdlightning.curvature.curvature_report import MeasuredValue, largest
from gdlightning.curvature.empirical_limit import Make, measured_limit
from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.stability import rates_of, roots_of, rule_of


@dataclass(frozen=True)
class Standing:
    """Sharpness times learning rate, compared with the stability limit.

    Args:
        product: largest eigenvalue λ times the lr of the next step, with λ preconditioned if
            ``divided``.
        at_peak: the same product for the peak of the schedule.
        lr: learning rate of the next step, in the group with the largest peak.
        peak: peak learning rate of that group.
        limit: stability limit of ``product``; None if unknown.
        formula: limit in symbols, ``measured``, or empty.
        divided: whether λ belongs to P^-½ H P^-½, with the divisor P of the optimizer.
    """

    product: MeasuredValue
    at_peak: MeasuredValue
    lr: float
    peak: float
    limit: float | None
    formula: str
    divided: bool


def standing(
    hessian: Hessian,
    optimizers: Sequence[Optimizer],
    make: Make | None = None,
    *,
    top: MeasuredValue | None = None,
    steps: int = 40,
    seed: int = 0,
    seen: float = 0.0,
) -> Standing | None:
    """Compare the sharpness times learning rate with the optimizer's stability limit.

    Args:
        hessian: Hessian of the training loss at the training weights.
        optimizers: optimizers of its parameters, in their current state.
        make: factory of the optimizer, to measure the limit on quadratics if its rule is unknown.
        top: largest eigenvalue, if already known.
        steps: maximum number of products of the Lanczos algorithm.
        seed: seed of its random start vector.
        seen: fraction of all examples that the Hessian covers.

    Returns:
        The comparison; None if there is no learning rate, or it is 0.
    """
    groups = [g for o in optimizers for g in o.param_groups]
    if not all("lr" in g for g in groups):
        return None
    peaks = [float(g.get("initial_lr", g["lr"])) for g in groups]
    first = max(range(len(groups)), key=peaks.__getitem__)
    lr, peak = float(groups[first]["lr"]), peaks[first]
    if not peak > 0:
        return None
    rates = rates_of(optimizers, hessian.parameters, "initial_lr")
    rule, roots = rule_of(optimizers), roots_of(optimizers, hessian.parameters)
    limit, formula = None, ""
    if rule is not None and roots is not None:
        limit, formula, rates = rule.limit, rule.formula, rates / roots
    elif make is not None and len(set(peaks)) == 1:
        limit = measured_limit(make, peak)
        formula = "" if limit is None else "measured"
    if top is not None and bool((rates == peak).all()):
        at_peak = top.times(peak)
    else:
        at_peak = largest(hessian, rates.sqrt(), steps=steps, seed=seed, seen=seen)
    divided = limit is not None and rule is not None and rule.divided
    return Standing(at_peak.times(lr / peak), at_peak, lr, peak, limit, formula, divided)
