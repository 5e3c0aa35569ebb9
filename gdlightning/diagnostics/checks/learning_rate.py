"""Judge the learning rate: too small, too large, or fine."""

from __future__ import annotations

from collections.abc import Iterator

from gdlightning.diagnostics.checks.plateau import was_left
from gdlightning.diagnostics.lr_classifier import (
    CLASSES,
    Features,
    choose_class,
    class_probabilities,
    features_of,
)
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Severity, Verdict

MIN_STEPS, MIN_MEASURED_STEPS = 50, 5
"""Steps, and measured steps, needed for a verdict."""
WARNING_PROBABILITY = 0.9
"""Probability above which a note becomes a warning."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report whether the learning rate is too small, too large or fine."""
    features = features_of(record)
    broken = record.diverged is not None
    enough = len(record.losses) >= MIN_STEPS and len(record.steps) >= MIN_MEASURED_STEPS
    if features is None or not (enough or broken):
        return
    chances = class_probabilities(features)
    side = choose_class(chances)
    evidence = (*_evidence(features), _confidence(chances[side]))
    if side == CLASSES[1]:
        yield Verdict(
            name="lr-fine",
            severity="fine",
            title="The learning rate looks fine.",
            evidence=evidence,
            picture="gain",
        )
        return
    severity: Severity = "warning" if chances[side] > WARNING_PROBABILITY else "note"
    rate = max((v for v in record.steps.lr.tolist() if v == v), default=None)
    small = side == CLASSES[0]
    yield Verdict(
        name="lr-too-small" if small else "lr-too-large",
        severity=severity,
        title=f"The learning rate is too {'small' if small else 'large'}"
        + (" for this many steps." if small else "."),
        evidence=evidence,
        advice=(
            _advice(rate, features, small),
            "Run gdl lr-find to test a range of learning rates on this config.",
            "Run gdl recommend --measure to compare learning rates in short runs.",
        ),
        symptoms=_symptoms(record, small),
        picture="gain",
    )


def _symptoms(record: RunRecord, small: bool) -> tuple[str, ...]:
    if not small:
        return (
            "plateau",
            "diverged",
            "loss-spikes",
            "dead-units",
            "warmup-missing",
            "warmup-too-short",
        )
    # A plateau that the run left at the same learning rate is not caused by that learning rate.
    return () if was_left(record) else ("plateau",)


def _evidence(features: Features) -> list[str]:
    evidence = [
        f"The median gain ratio is {features.gain:.2f}: a step reduces the loss of its batch by "
        f"{max(features.gain, 0):.0%} of the decrease predicted by the gradient."
    ]
    if features.overshoots > 0.05:
        evidence.append(
            f"{features.overshoots:.0%} of the measured steps increased the loss of their batch."
        )
    late = features.still_falling
    half = f", {late:.0%} of it in the second half" if 0 < late < 1 else ""
    evidence.append(f"The loss decreased by {features.progress:.0%} of its initial value{half}.")
    if features.peak > 1.5 and not features.diverged:
        evidence.append(f"It peaked at {features.peak:.2g} times its initial value.")
    evidence.append(
        f"The median step-to-weight ratio is {features.update_ratio:.1g} (for information only)."
    )
    return evidence


def _confidence(probability: float) -> str:
    return f"Confidence {probability:.0%} (calibrated on other tasks)."


def _advice(rate: float | None, features: Features, small: bool) -> str:
    factor = 10 if (features.gain > 0.995 if small else features.diverged) else 3
    if rate is None:
        change = f"Multiply it by {factor}" if small else f"Divide it by {factor}"
        return f"{change} (optimizer.lr)."
    return f"Set --optimizer.lr {rate * factor if small else rate / factor:.2g}."
