"""A validation loss that rises while the training loss falls."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

RISE, MUCH = 0.1, 0.3
"""Share of the lowest validation loss, by which the last ones stand above it: to be told, and to be
warned of."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Whether training went on past its best point."""
    values = [(k, m["val_loss"]) for k, m in record.validations.items() if "val_loss" in m]
    values = [(k, v) for k, v in values if math.isfinite(v)]
    if len(values) < 4:
        return
    step, best = min(values, key=lambda kv: kv[1])
    tail = [v for _, v in values[-max(2, len(values) // 5) :]]
    late = min(tail)  # all of the last ones stand above
    share = step / max(1, values[-1][0])
    before = record.losses[max(0, step - 20) : step + 1]
    then = sum(before) / len(before) if before else math.nan
    now = record.smooth(0.9, 1.0)
    if not (late > best + RISE * abs(best) and share < 0.8 and now < then):
        return
    yield Verdict(
        name="overfitting",
        severity="warning" if late > best + MUCH * abs(best) else "note",
        title=f"It overfits since step {step:,}: the validation loss rose by "
        f"{(late - best) / abs(best) if best else math.inf:.0%} while the training loss fell.",
        evidence=(
            f"Validation loss {best:.4g} at step {step:,}, {values[-1][1]:.4g} at the end.",
            f"Training loss {then:.4g} then, {now:.4g} at the end.",
        ),
        advice=(
            "--checkpoint.monitor val_loss keeps the best weights",
            "callbacks: [{name: early-stopping, monitor: val_loss}]",
            "more data or augmentation, --optimizer.weight_decay, dropout, a smaller net",
        ),
        first=step,
        picture="loss",
    )
