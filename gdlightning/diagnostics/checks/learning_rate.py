"""The learning rate: too small, too large, or nothing against it."""

from __future__ import annotations

from collections.abc import Iterator

from gdlightning.diagnostics.checks.plateau import was_left
from gdlightning.diagnostics.lr_classifier import CLASSES, Signs, judged, signs, told
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Severity, Verdict

LEAST, MEASURED = 50, 5
"""Steps, and measured ones, before anything is said."""
SURE = 0.9
"""Probability from which a note becomes a warning."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """The verdict on the learning rate, once there is enough to judge by."""
    found = signs(record)
    broken = record.diverged is not None
    enough = len(record.losses) >= LEAST and len(record.steps) >= MEASURED
    if found is None or not (enough or broken):
        return
    chances = judged(found)
    side = told(chances)
    if side == CLASSES[1]:
        yield Verdict(
            name="lr-fine",
            severity="fine",
            title="Nothing speaks against the learning rate.",
            evidence=(*_evidence(found), _sure(chances[side])),
            picture="gain",
        )
        return
    severity: Severity = "warning" if chances[side] > SURE else "note"
    rate = max((v for v in record.steps.lr.tolist() if v == v), default=None)
    small = side == CLASSES[0]
    yield Verdict(
        name="lr-too-small" if small else "lr-too-large",
        severity=severity,
        title=f"The learning rate is too {'small' if small else 'large'}"
        + (" for this many steps." if small else "."),
        evidence=(*_evidence(found), _sure(chances[side])),
        advice=(_advice(rate, found, small), "gdl lr-find tests a range of them on this config",
                "gdl recommend --measure tries some with short trainings"),
        symptoms=_slowed(record) if small else ("plateau", "diverged", "loss-spikes", "dead-units",
                                                "warmup-missing", "warmup-too-short"),
        picture="gain",
    )  # fmt: skip


def _slowed(record: RunRecord) -> tuple[str, ...]:
    """A plateau is made by a small rate, unless that rate left it: then it took the steps."""
    return () if was_left(record) else ("plateau",)


def _evidence(found: Signs) -> list[str]:
    said = [f"Gain ratio {found.gain:.2f}: steps lower their own batch's loss by "
            f"{max(found.gain, 0):.0%} of what the gradient promises."]  # fmt: skip
    if found.overshoots > 0.05:
        said.append(f"{found.overshoots:.0%} of the measured steps raised it.")
    said.append(
        f"The loss fell by {found.progress:.0%} of its first value"
        + (f", {found.still_falling:.0%} of that in the last half." if 0 < found.still_falling < 1
           else ".")
    )  # fmt: skip
    if found.peak > 1.5 and not found.diverged:
        said.append(f"It stood at {found.peak:.2g} times its first value on the way.")
    said.append(f"Steps over weights: {found.update_ratio:.1g} (for information only).")
    return said


def _sure(chance: float) -> str:
    return f"Sure to {chance:.0%}, by runs of other tasks."


def _advice(rate: float | None, found: Signs, small: bool) -> str:
    factor = 10 if (found.gain > 0.995 if small else found.diverged) else 3
    if rate is None:
        return f"a learning rate {factor} times as {'large' if small else 'small'}"
    return f"--optimizer.lr {rate * factor if small else rate / factor:.2g}"
