"""Compilation changes only the speed, and its break-even point is printed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from helpers import Run, metrics

from gdlightning.callbacks.compiled import Compiled


@pytest.mark.parametrize(
    ("seconds", "before", "after", "steps", "words"),
    [
        (10.0, 3e-3, 2e-3, 20_000, "Break-even after 10,000 of 20,000 steps."),
        (10.0, 3e-3, 2e-3, 500, "10,000 of 500 steps: the run is too short; set compile: false."),
        (10.0, 3e-3, 2e-3, math.inf, "Break-even after 10,000 steps."),
        (10.0, 2e-3, 3e-3, 500, "This is not faster; set compile: false."),
    ],
)
def test_the_break_even(
    seconds: float, before: float, after: float, steps: float, words: str
) -> None:
    compiled = Compiled()
    compiled.seconds, compiled.before, compiled.after = seconds, before, after
    assert compiled.summary(steps).endswith(words)


def test_a_compiled_run_has_the_same_metrics(fit: Run, recwarn: Any) -> None:
    short = ("--trainer.max_epochs", "2", "--model.net.dropout", "0.0")
    fit("tabular", "--name", "plain", *short)
    result = fit("tabular", "--name", "compiled", "--compile", "true", *short)
    assert "Compiled in" in result.err
    plain, compiled = metrics("plain"), metrics("compiled")
    assert compiled["train_loss"] == pytest.approx(plain["train_loss"], rel=1e-3)
    assert compiled["train_accuracy"] == plain["train_accuracy"]
    assert Path("runs/compiled/version_0/checkpoints/last.ckpt").is_file()
