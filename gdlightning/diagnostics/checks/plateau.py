"""Detect a loss that does not decrease for a long time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

WINDOWS, MIN_STEPS = 20, 60
"""Number of windows whose median losses are compared, and steps needed for a verdict."""
MAX_CHANGE, MIN_WINDOWS, MIN_DROP = 0.01, 6, 0.2
"""Change within a plateau (fraction of the first loss), its windows, and the drop after it."""
NOISE_FACTOR = 3.0
"""Multiple of the noise of a window's median that is also tolerated within a plateau."""
MIN_PROGRESS = 0.05
"""Fraction of the first loss below which a run has made no progress."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report a run without progress, or a long plateau before the loss decreased."""
    level = _level(record)
    if not level:
        return
    first = record.first_loss
    if _no_progress(level, first):
        yield _verdict(record, 0, len(record.losses), "since the start", level[-1])
    elif stretch := _left(record, level):
        size = len(record.losses) // WINDOWS
        steps = (stretch[0] * size, stretch[1] * size)
        yield _verdict(record, *steps, f"from step {steps[0]:,} to {steps[1]:,}", level[stretch[0]])


def was_left(record: RunRecord) -> bool:
    """Return whether the loss left a plateau."""
    level = _level(record)
    return bool(level) and not _no_progress(level, record.first_loss) and bool(_left(record, level))


def _level(record: RunRecord) -> list[float]:
    """Return the median loss of each window, or an empty list if there are too few losses."""
    if len(record.losses) < MIN_STEPS or record.diverged is not None or record.first_loss <= 0:
        return []
    level = [record.smooth(k / WINDOWS, (k + 1) / WINDOWS) for k in range(WINDOWS)]
    return level if all(map(math.isfinite, level)) else []


def _no_progress(level: list[float], first: float) -> bool:
    return max(first, level[0]) - min(level) < MIN_PROGRESS * first


def _left(record: RunRecord, level: list[float]) -> tuple[int, int] | None:
    """Return the windows of the longest plateau if the loss decreased after it."""
    first = record.first_loss
    begin, length = _longest_flat(level, MAX_CHANGE * first + NOISE_FACTOR * _noise(record.losses))
    after = level[begin + length - 1] - min(level[begin + length :], default=math.inf)
    return (begin, begin + length) if length >= MIN_WINDOWS and after > MIN_DROP * first else None


def _noise(losses: Sequence[float]) -> float:
    """Return the standard error of a window's median loss."""
    size = max(2, len(losses) // WINDOWS)
    parts = np.array(losses[: len(losses) // size * size]).reshape(-1, size)
    spreads = np.median(abs(parts - np.median(parts, axis=1, keepdims=True)), axis=1)
    return 1.25 * 1.48 * float(np.median(spreads)) / math.sqrt(size)


def _longest_flat(level: list[float], change: float) -> tuple[int, int]:
    """Return the start and the length of the longest stretch within ``change``."""
    best = (0, 1)
    for begin in range(len(level)):
        low = high = level[begin]
        for end in range(begin, len(level)):
            low, high = min(low, level[end]), max(high, level[end])
            if high - low > change:
                break
            if end - begin + 1 > best[1]:
                best = (begin, end - begin + 1)
    return best


def _verdict(record: RunRecord, begin: int, end: int, when: str, loss: float) -> Verdict:
    step, norms = record.steps.step, record.steps.grad_norm
    norms = np.sort(norms[(begin <= step) & (step < end) & np.isfinite(norms)])
    evidence = [f"The loss was about {loss:.4g} {when}."]
    if len(norms):
        evidence.append(f"The median gradient norm was {norms[len(norms) // 2]:.3g}.")
    base = record.start.get("data", {}).get("entropy")
    if base and abs(loss - base) < 0.03 * base:
        evidence.append(f"Predicting the class priors has the same loss, {base:.4g}.")
    return Verdict(
        name="plateau",
        severity="warning",
        title=f"The loss is on a plateau {when}.",
        evidence=tuple(evidence),
        advice=(
            "Increase --optimizer.lr, or use momentum or an adaptive optimizer.",
            "Run gdl diagnose RUN --curvature to check for a saddle point.",
        ),
        symptoms=("lr-too-small",) if end < len(record.losses) else (),
        first=begin,
        picture="loss",
    )
