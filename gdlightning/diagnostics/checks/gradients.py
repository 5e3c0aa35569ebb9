"""Detect vanishing and exploding gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import median

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

MIN_MATRICES = 3
"""Matrices needed to compare the first layers with the last ones."""
VANISHING_RATIO = 1e-3
"""Gradient-to-weight ratio of the first layers relative to the last, below which they vanish."""
MAX_ELASTICITY = 300.0
"""Elasticity of the initial loss, ‖gradient‖·‖weights‖ / loss, above which gradients explode."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report gradients that vanish in the first quarter or explode at the start."""
    yield from _vanishing(record)
    yield from _exploding(record)


def _vanishing(record: RunRecord) -> Iterator[Verdict]:
    steps = record.steps
    layers = ((k, *steps.layers(k)) for k in range(len(steps)))
    deep = ((k, grads, weights) for k, grads, weights in layers if len(grads) >= MIN_MATRICES)
    early = list(islice(deep, max(3, len(steps) // 4)))
    pairs = [p for _, grads, weights in early if (p := _ends(grads, weights)) is not None]
    if not pairs:
        return
    ratio = median(first / last for first, last in pairs)
    if not ratio < VANISHING_RATIO:
        return
    first, last = pairs[0]
    names = record.layers or ["the first layer", "the last layer"]
    yield Verdict(
        name="vanishing-gradients",
        severity="fault",
        title=f"Gradients vanish: in the first layers, they are {ratio:.1g} times those of the "
        "last layer.",
        evidence=(
            f"The gradient-to-weight ratio at step {steps.step[early[0][0]]:,} is {first:.2g} in "
            f"{names[0]} and {last:.2g} in {names[-1]}.",
        ),
        advice=(
            "Replace sigmoid or tanh by ReLU or GELU; add normalization or residual connections.",
            "Initialize the weights with He or Glorot initialization.",
        ),
        symptoms=("plateau", "lr-too-small", "saddle", "nothing-carries-over"),
        picture="layers",
    )


def _ends(grads: Sequence[float], weights: Sequence[float]) -> tuple[float, float] | None:
    """Return the largest gradient-to-weight ratio of the first and of the last third."""
    pairs = zip(grads, weights, strict=True)
    relative = [g / w for g, w in pairs if w > 0 and math.isfinite(g)]
    if len(relative) < MIN_MATRICES or max(relative) == 0:
        return None
    third = max(1, len(relative) // 3)
    last = max(relative[-third:])
    return (max(relative[:third]), last) if last > 0 else None


def _exploding(record: RunRecord) -> Iterator[Verdict]:
    steps = record.steps
    if not len(steps) or steps.step[0] > 0:
        return
    loss, norm = float(steps.loss[0]), float(steps.grad_norm[0])
    weights = _norm(steps.layers(0)[1])
    elasticity = norm * weights / abs(loss) if loss else math.nan
    base = record.start.get("data", {}).get("entropy")
    far = base is not None and base > 0 and loss > 20 * base
    if math.isfinite(elasticity) and not (elasticity > MAX_ELASTICITY or far):
        return
    evidence = [f"At step 0, the loss is {loss:.4g} and the gradient norm {norm:.3g}."]
    if base is not None:
        evidence.append(f"Predicting the class priors has a loss of {base:.3g}.")
    if scale := steps.first_scale:
        low, high = min(scale.values()), max(scale.items(), key=lambda kv: kv[1])
        evidence.append(
            f"The root mean square of the layers' outputs ranges from {low:.3g} to {high[1]:.3g} "
            f"({high[0]})."
        )
    yield Verdict(
        name="exploding-at-start",
        severity="fault",
        title="Gradients explode at initialization: the scale of the weights or inputs is off.",
        evidence=tuple(evidence),
        advice=(
            "Initialize the weights with He or Glorot initialization, or add normalization.",
            "Scale inputs and targets to mean 0 and variance 1.",
            "Set --clip norm.",
        ),
        symptoms=(
            "diverged",
            "lr-too-large",
            "plateau",
            "loss-spikes",
            "dead-units",
            "clip-always",
            "overfitting",
            "nothing-carries-over",
        ),
        picture="layers",
    )


def _norm(values: Sequence[float]) -> float:
    return math.sqrt(sum(v * v for v in values if math.isfinite(v)))
