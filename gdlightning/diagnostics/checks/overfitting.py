"""Detect a validation loss that increases while the training loss decreases."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict

NOTE_INCREASE, WARNING_INCREASE = 0.1, 0.3
"""Relative increases over the lowest validation loss that give a note or a warning."""


def find(record: RunRecord) -> Iterator[Verdict]:
    """Report overfitting since the step with the lowest validation loss."""
    values = [(k, m["val_loss"]) for k, m in record.validations.items() if "val_loss" in m]
    values = [(k, v) for k, v in values if math.isfinite(v)]
    if len(values) < 4:
        return
    step, best = min(values, key=lambda kv: kv[1])
    tail = [v for _, v in values[-max(2, len(values) // 5) :]]
    late = min(tail)  # all of the last losses are at least this high
    share = step / max(1, values[-1][0])
    before = record.losses[max(0, step - 20) : step + 1]
    then = sum(before) / len(before) if before else math.nan
    now = record.smooth(0.9, 1.0)
    if not (late > best + NOTE_INCREASE * abs(best) and share < 0.8 and now < then):
        return
    yield Verdict(
        name="overfitting",
        severity="warning" if late > best + WARNING_INCREASE * abs(best) else "note",
        title=f"The model overfits since step {step:,}: the validation loss increased by "
        f"{(late - best) / abs(best) if best else math.inf:.0%} while the training loss decreased.",
        evidence=(
            f"Validation loss: {best:.4g} at step {step:,}, {values[-1][1]:.4g} at the end.",
            f"Training loss: {then:.4g} at step {step:,}, {now:.4g} at the end.",
        ),
        advice=(
            "Use the weights of the best validation, which gdl test and gdl predict do by default.",
            "Stop early: --patience 10.",
            "Use more data, augmentation, dropout or a smaller net, or increase "
            "--optimizer.weight_decay.",
        ),
        first=step,
        picture="loss",
    )
