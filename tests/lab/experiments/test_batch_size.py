"""Time and data by batch size, and the rule of the verdict."""

from __future__ import annotations

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import batch_size


def record(few: float, many: float, single: float) -> dict[str, object]:
    times = {
        "1,000": {"1": single, "64": 1.0, "all": few},
        "100,000": {"1": single, "64": 1.0, "all": many},
    }
    runs = {
        f"{int(rows.replace(',', ''))}, {size}": {"seconds": t, "passes": 1.0, "steps": 1}
        for rows, by in times.items()
        for size, t in by.items()
    }
    return {"runs": runs, "noise": [1.0, 1.01]}


@pytest.mark.parametrize(
    ("few", "many", "single", "verdict"),
    [
        (2.0, 50.0, 5.0, ClaimVerdict.HOLDS),
        (0.8, 50.0, 5.0, ClaimVerdict.CONDITIONS),
        (0.8, 0.9, 5.0, ClaimVerdict.NOT_HERE),
        (2.0, 50.0, 0.5, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_the_times(
    few: float, many: float, single: float, verdict: ClaimVerdict
) -> None:
    outcome = batch_size.conclude([record(few, many, single)] * 3)
    assert outcome.verdict is verdict
    assert f"{many:.3g} times" in outcome.words


def test_a_training_that_does_not_arrive_counts_as_slowest() -> None:
    never = record(2.0, 50.0, 5.0)
    never["runs"]["100000, all"]["seconds"] = None  # type: ignore[index]
    outcome = batch_size.conclude([never] * 3)
    assert outcome.verdict is ClaimVerdict.HOLDS
    assert "inf" in outcome.words


def test_noise_is_the_variance_of_the_mean_of_a_batch() -> None:
    noise = torch.tensor(batch_size._noise(3))
    assert float((noise / noise.mean() - 1).abs().max()) < 0.1


def test_passes_count_each_row() -> None:
    run = batch_size._run(1000, 64, 0)
    assert run["passes"] == pytest.approx(run["steps"] * 64 / 1000)
    assert run["seconds"] > 0
