"""Progress of a run where standard error is no terminal."""

from __future__ import annotations

import re

from helpers import CONFIGS, Run


def test_a_file_gets_a_line_now_and_then(gdl: Run) -> None:
    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        "--trainer.accelerator",
        "cpu",
        "--monitor.every",
        "0",
        "--trainer.max_steps",
        "20",
    )
    assert result.code == 0, result.err
    assert "\r" not in result.err
    lines = [line for line in result.err.splitlines() if line.startswith("step ")]
    steps = [int(line.split()[1]) for line in lines]
    assert steps == [1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
    pattern = r"step 10 of 20 \(50%\), .*loss \d\.\d+, .*lr \d\.\d\de-0\d, .*\d\d:\d\d left"
    assert re.fullmatch(pattern, lines[5])
    assert "left" not in lines[-1]
