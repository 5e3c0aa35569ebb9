"""A loss that stands still where it could go down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

WINDOWS, LEAST = 20, 60
"""Parts of a training whose median losses are compared, and steps that it must have."""
FLAT, LONG, DROP = 0.01, 6, 0.2
"""Share of the first loss that counts as no change; windows of a plateau; what its end drops by."""
SPREAD = 3.0
"""Times the noise of a window's median, that is no change either."""
NOTHING = 0.05
"""Share of the first loss, below which a whole training's progress is none."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """A training that never left the start, or that stood still long before it went on."""
    level = _level(record)
    if not level:
        return
    first = record.first_loss
    if _never_left(level, first):
        yield _verdict(record, 0, len(record.losses), "since the start", level[-1])
    elif stretch := _left(record, level):
        size = len(record.losses) // WINDOWS
        steps = (stretch[0] * size, stretch[1] * size)
        yield _verdict(record, *steps, f"from step {steps[0]:,} to {steps[1]:,}", level[stretch[0]])


def was_left(record: RunRecord) -> bool:
    """Whether the loss stood still and then went on, at the learning rate that it had."""
    level = _level(record)
    return bool(level) and not _never_left(level, record.first_loss) and bool(_left(record, level))


def _level(record: RunRecord) -> list[float]:
    """The median loss of each window; nothing where it can't be judged by."""
    if len(record.losses) < LEAST or record.diverged is not None or record.first_loss <= 0:
        return []
    level = [record.smooth(k / WINDOWS, (k + 1) / WINDOWS) for k in range(WINDOWS)]
    return level if all(map(math.isfinite, level)) else []


def _never_left(level: list[float], first: float) -> bool:
    return max(first, level[0]) - min(level) < NOTHING * first


def _left(record: RunRecord, level: list[float]) -> tuple[int, int] | None:
    """The windows of the longest flat stretch, if it is long and the loss fell after it."""
    first = record.first_loss
    begin, length = _longest_flat(level, FLAT * first + SPREAD * _noise(record.losses))
    after = level[begin + length - 1] - min(level[begin + length :], default=math.inf)
    return (begin, begin + length) if length >= LONG and after > DROP * first else None


def _noise(losses: Sequence[float]) -> float:
    """By how much the median of a window is off, for the noise of single losses."""
    size = max(2, len(losses) // WINDOWS)
    parts = np.array(losses[: len(losses) // size * size]).reshape(-1, size)
    spreads = np.median(abs(parts - np.median(parts, axis=1, keepdims=True)), axis=1)
    return 1.25 * 1.48 * float(np.median(spreads)) / math.sqrt(size)


def _longest_flat(level: list[float], change: float) -> tuple[int, int]:
    """Where the longest stretch within ``change`` begins, and its length."""
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
    told = [f"The loss stood at about {loss:.4g} {when}."]
    if len(norms):
        told.append(f"The gradient norm was {norms[len(norms) // 2]:.3g} there (median).")
    base = record.start.get("data", {}).get("entropy")
    if base and abs(loss - base) < 0.03 * base:
        told.append(f"That is the loss of guessing the classes' shares, {base:.4g}.")
    return Verdict(
        name="plateau",
        severity="warning",
        title=f"The loss is on a plateau {when}.",
        evidence=tuple(told),
        advice=("gdl diagnose RUN --curvature tells whether it is a saddle",
                "a larger --optimizer.lr, momentum or an adaptive optimizer"),
        symptoms=("lr-too-small",) if end < len(record.losses) else (),
        first=begin,
        picture="loss",
    )  # fmt: skip
