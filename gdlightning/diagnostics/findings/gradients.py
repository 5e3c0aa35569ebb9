"""Gradients that die out, or blow up, on their way to the first layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from gdlightning.diagnostics.record import Record, Step
from gdlightning.diagnostics.verdict import Verdict

VANISHING = 1e-3
"""Gradient-to-weight ratio of the first layers over the last, below which they stand still."""
EXPLODING = 300.0
"""Elasticity of the loss, ‖gradient‖·‖weights‖ / loss, of an untrained net out of scale."""


def find(record: Record) -> Iterator[Verdict]:
    """Vanishing gradients in the first quarter; exploding ones at the start."""
    yield from _vanishing(record)
    yield from _exploding(record)


def _vanishing(record: Record) -> Iterator[Verdict]:
    early = [s for s in record.steps if len(s.grads) >= 3][: max(3, len(record.steps) // 4)]
    pairs = [p for p in map(_ends, early) if p is not None]
    if not pairs:
        return
    ratio = median(first / last for first, last in pairs)
    if not ratio < VANISHING:
        return
    first, last = pairs[0]
    yield Verdict(
        name="vanishing-gradients",
        severity="fault",
        title=f"Gradients vanish: the first layers get {ratio:.1g} of what the last one gets.",
        evidence=(
            f"Gradient over weight at step {early[0].step:,}: {first:.2g} in {record.layers[0]}, "
            f"{last:.2g} in {record.layers[-1]}.",
        ),
        advice=(
            "ReLU or GELU in place of sigmoid or tanh, normalisation, residual connections",
            "initial weights by He or Glorot",
        ),
        symptoms=("plateau", "lr-too-small", "saddle", "nothing-carries-over"),
        picture="layers",
    )


def _ends(step: Step) -> tuple[float, float] | None:
    """Gradient over weight of the first third of the matrices, and of the last."""
    relative = [
        g / w for g, w in zip(step.grads, step.weights, strict=True) if w > 0 and math.isfinite(g)
    ]
    if len(relative) < 3 or max(relative) == 0:
        return None
    third = max(1, len(relative) // 3)
    last = max(relative[-third:])
    return (max(relative[:third]), last) if last > 0 else None


def elasticity(step: Step) -> float:
    """‖gradient‖·‖weights‖ / |loss|, which knows no units; NaN where there is no loss."""
    weights = _norm(step.weights)
    return step.grad_norm * weights / abs(step.loss) if step.loss else math.nan


def _exploding(record: Record) -> Iterator[Verdict]:
    first = record.steps[:1]
    if not first or first[0].step > 0:
        return
    value, step = elasticity(first[0]), first[0]
    base = record.start.get("data", {}).get("entropy")
    far = base is not None and base > 0 and step.loss > 20 * base
    if math.isfinite(value) and not (value > EXPLODING or far):
        return
    told = [f"At step 0 the loss is {step.loss:.4g} and the gradient norm {step.grad_norm:.3g}."]
    if base is not None:
        told.append(f"Guessing the classes' shares would give a loss of {base:.3g}.")
    if step.scale:
        low, high = min(step.scale.values()), max(step.scale.items(), key=lambda kv: kv[1])
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
