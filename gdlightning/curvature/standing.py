"""Where a training stands: its largest curvature times learning rate, beside the limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.measured import Make, measured_limit
from gdlightning.curvature.report import Measured, largest
from gdlightning.curvature.stability import rates_of, roots_of, rule_of


@dataclass(frozen=True)
class Standing:
    """λ times lr beside the largest at which the optimizer is stable.

    Args:
        product: λ times the lr of the next step, λ in the optimizer's own units.
        at_peak: the same weights at the peak of the schedule.
        lr: of the next step, of the first group.
        peak: of that group.
        limit: of ``product``; None where it is not known.
        formula: of the limit in symbols, ``measured``, or empty.
        divided: λ is that of P^-½ H P^-½, for what the optimizer divides by.
    """

    product: Measured
    at_peak: Measured
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
    top: Measured | None = None,
    steps: int = 40,
    seed: int = 0,
    seen: float = 0.0,
) -> Standing | None:
    """Compare the curvature with what the optimizer bears.

    Args:
        hessian: of the training loss, at the weights that are trained.
        optimizers: over its parameters, in the state that is meant.
        make: for one that is not known: makes it anew, to be tried on quadratics.
        top: the largest eigenvalue, where it is known already.
        steps: products of Lanczos' method at most.
        seed: of its random start.
        seen: part of all examples that is in the Hessian.

    Returns:
        None where there is no learning rate, or it is 0.
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
