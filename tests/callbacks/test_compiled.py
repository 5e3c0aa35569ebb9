"""Compiling changes nothing but speed, and says what it cost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from helpers import Run, metrics

from gdlightning.callbacks.compiled import Compiled


@pytest.mark.parametrize(
    ("seconds", "before", "after", "steps", "told"),
    [
        (10.0, 3e-3, 2e-3, 20_000, "Even after 10,000 of 20,000 steps: it pays."),
        (10.0, 3e-3, 2e-3, 500, "Even after 10,000 of 500 steps: it does not pay."),
        (10.0, 3e-3, 2e-3, math.inf, "Even after 10,000 steps: it pays."),
        (10.0, 2e-3, 3e-3, 500, "It does not pay here; leave it out."),
    ],
)
def test_the_break_even(
    seconds: float, before: float, after: float, steps: float, told: str
) -> None:
    compiled = Compiled()
    compiled.seconds, compiled.before, compiled.after = seconds, before, after
    assert compiled.told(steps).endswith(told)


def test_a_compiled_training(fit: Run, recwarn: Any) -> None:
    short = ("--trainer.max_epochs", "2", "--model.net.dropout", "0.0")
    fit("tabular", "--name", "plain", *short)
    result = fit("tabular", "--name", "compiled", "--compile", "true", *short)
    assert "Compiled in" in result.err
    plain, compiled = metrics("plain"), metrics("compiled")
    assert compiled["train_loss"] == pytest.approx(plain["train_loss"], rel=1e-3)
    assert compiled["train_accuracy"] == plain["train_accuracy"]
    assert Path("runs/compiled/version_0/checkpoints/last.ckpt").is_file()
