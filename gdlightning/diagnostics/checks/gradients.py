"""Gradients that die out, or blow up, on their way to the first layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from statistics import median

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

LAYERS = 3
"""Matrices that a net must have, for its first and last ones to be compared."""
VANISHING = 1e-3
"""Gradient-to-weight ratio of the first layers over the last, below which they stand still."""
EXPLODING = 300.0
"""Elasticity of the loss, ‖gradient‖·‖weights‖ / loss, of an untrained net out of scale."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Vanishing gradients in the first quarter; exploding ones at the start."""
    yield from _vanishing(record)
    yield from _exploding(record)


def _vanishing(record: RunRecord) -> Iterator[Verdict]:
    steps = record.steps
    layers = ((k, *steps.layers(k)) for k in range(len(steps)))
    deep = ((k, grads, weights) for k, grads, weights in layers if len(grads) >= LAYERS)
    early = list(islice(deep, max(3, len(steps) // 4)))
    pairs = [p for _, grads, weights in early if (p := _ends(grads, weights)) is not None]
    if not pairs:
        return
    ratio = median(first / last for first, last in pairs)
    if not ratio < VANISHING:
        return
    first, last = pairs[0]
    names = record.layers or ["the first layer", "the last layer"]
    yield Verdict(
        name="vanishing-gradients",
        severity="fault",
        title=f"Gradients vanish: the first layers get {ratio:.1g} of what the last one gets.",
        evidence=(
            f"Gradient over weight at step {steps.step[early[0][0]]:,}: {first:.2g} in "
            f"{names[0]}, {last:.2g} in {names[-1]}.",
        ),
        advice=(
            "ReLU or GELU in place of sigmoid or tanh, normalisation, residual connections",
            "initial weights by He or Glorot",
        ),
        symptoms=("plateau", "lr-too-small", "saddle", "nothing-carries-over"),
        picture="layers",
    )


def _ends(grads: Sequence[float], weights: Sequence[float]) -> tuple[float, float] | None:
    """Gradient over weight of the first third of the matrices, and of the last."""
    pairs = zip(grads, weights, strict=True)
    relative = [g / w for g, w in pairs if w > 0 and math.isfinite(g)]
    if len(relative) < LAYERS or max(relative) == 0:
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
    if math.isfinite(elasticity) and not (elasticity > EXPLODING or far):
        return
    told = [f"At step 0 the loss is {loss:.4g} and the gradient norm {norm:.3g}."]
    if base is not None:
        told.append(f"Guessing the classes' shares would give a loss of {base:.3g}.")
    if scale := steps.first_scale:
        low, high = min(scale.values()), max(scale.items(), key=lambda kv: kv[1])
        told.append(f"Outputs of layers go up to {high[1]:.3g} (root mean square, {high[0]}), "
                    f"from {low:.3g}.")  # fmt: skip
    yield Verdict(
        name="exploding-at-start",
        severity="fault",
        title="The untrained net is out of scale: its gradients explode.",
        evidence=tuple(told),
        advice=("initial weights by He or Glorot, or normalisation",
                "inputs and targets scaled to mean 0 and variance 1", "--clip norm"),
        symptoms=("diverged", "lr-too-large", "plateau", "loss-spikes", "dead-units",
                  "clip-always", "overfitting", "nothing-carries-over"),
        picture="layers",
    )  # fmt: skip


def _norm(values: Sequence[float]) -> float:
    return math.sqrt(sum(v * v for v in values if math.isfinite(v)))
