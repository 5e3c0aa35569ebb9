"""An ``eps`` that rounds to 0 in float16 is an error before training."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run

from gdlightning.engine.half_precision import check_half
from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice


@pytest.mark.parametrize("fused", [{}, {"fused": False}])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_an_eps_that_rounds_to_zero_is_an_error_and_a_larger_one_is_not(
    name: str, fused: dict[str, bool]
) -> None:
    with pytest.raises(UserError, match="rounds to 0 in float16"):
        check_half(Choice.of({"name": name, "eps": 1e-8} | fused))
    check_half(Choice.of({"name": name, "eps": 1e-4} | fused))


@pytest.mark.parametrize("name", ["sgd", "lion"])
def test_optimizers_without_eps_are_supported(name: str) -> None:
    check_half(Choice.of(name))


def test_the_command_line_says_it_before_a_folder_is_made(gdl: Run) -> None:
    result = gdl(
        "fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--trainer.precision", "16-true"
    )
    assert result.code == 2
    assert "optimizer.eps 1e-08 of adamw rounds to 0" in result.err
    assert "Write optimizer.eps 1e-4, or use trainer.precision bf16-true or 16-mixed" in result.err
    assert not Path("runs").exists()
