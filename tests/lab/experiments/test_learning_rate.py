"""Good learning rates, and the rule of the verdict."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.lab.conclusion import ClaimVerdict
from gdlightning.lab.experiments import learning_rate
from gdlightning.lab.experiments.learning_rate import GRIDS, STEPS, good


def test_a_rate_is_good_within_a_tenth_of_the_fall() -> None:
    case = {"start": 1.0, "ends": [0.9, 0.2, 0.11, 0.1, 0.19, 0.5, None]}
    assert good(case) == [False, False, True, True, True, False, False]


def record(sgd: int, adam: int, end: float | None = None) -> dict[str, Any]:
    """Return measurements by the indices of the best learning rates."""
    found = {}
    for name, best in (("SGD", sgd), ("Adam", adam)):
        ends: list[float | None] = [1.0] * len(GRIDS[name][1])
        ends[best], ends[-1] = 0.1, end
        found[f"task, {name}"] = {"start": 1.0, "ends": ends}
    return found


@pytest.mark.parametrize(
    ("sgd", "adam", "end", "verdict"),
    [
        (5, 3, None, ClaimVerdict.HOLDS),  # 0.03 and 3e-4
        (5, 7, None, ClaimVerdict.CONDITIONS),
        (0, 3, 1.0, ClaimVerdict.NOT_HERE),
        (5, 3, 0.1, ClaimVerdict.NOT_HERE),
    ],
)
def test_the_verdict_follows_from_the_rates(
    sgd: int, adam: int, end: float | None, verdict: ClaimVerdict
) -> None:
    assert learning_rate.conclude([record(sgd, adam, end)] * 3).verdict is verdict


def test_every_net_trains_on_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(learning_rate, "STEPS", STEPS // 4)
    adam = GRIDS["Adam"][0] | {"lr": 0.01}
    for name, (net, loss, x, y) in learning_rate._tasks(0).items():
        torch.manual_seed(0)
        start = learning_rate._whole(net(), loss, x, y)
        end = learning_rate._end(net, loss, x, y, adam, 0)
        assert end is not None, name
        assert end < 0.8 * start, name
