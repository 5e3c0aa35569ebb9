"""Optimizers are compared at the learning rate with the best validation loss."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdlightning.lab.descent import descend
from gdlightning.lab.tuning import (
    FRESH,
    Candidate,
    below,
    better,
    grid,
    reported,
    tuned,
)

PLAIN = {"name": "sgd", "momentum": 0.0, "nesterov": False}


def bowl(seeds: list[int]) -> Any:
    """Return a net after ten steps on w²/2 from 1."""

    def train(optimizer: dict[str, Any], seed: int) -> nn.Module:
        seeds.append(seed)
        net = nn.Linear(1, 1, bias=False)
        nn.init.ones_(net.weight)
        one = torch.ones(1, 1)

        def loss(output: Tensor, target: Tensor) -> Tensor:
            return (output**2).mean() / 2

        descend(net, loss, one, one, optimizer, 10)
        return net

    return train


def half_square(net: nn.Linear) -> float:
    return float(net.weight.detach()) ** 2 / 2


def test_the_learning_rate_is_that_of_the_lowest_loss() -> None:
    """On w²/2 ten steps leave (1 - lr)^20 / 2, so that of 0.1, 0.9 and 1.5 the second is best."""
    seeds: list[int] = []
    found = tuned(
        {"SGD": Candidate(PLAIN, (0.1, 0.9, 1.5))},
        bowl(seeds),
        half_square,
        lambda net: {"test": half_square(net)},
        seed=3,
    )["SGD"]
    assert found["lr"] == 0.9
    assert found["validation"] == pytest.approx([0.9**20 / 2, 0.1**20 / 2, 0.5**20 / 2], abs=1e-9)
    assert seeds == [3, 3, 3, 3 + FRESH]  # what is tested did not choose


def test_a_training_that_diverged_is_not_chosen() -> None:
    found = tuned(
        {"SGD": Candidate(PLAIN, (0.5, 1e30))},
        bowl([]),
        half_square,
        lambda net: {"test": math.nan, "words": 3},
        seed=0,
    )
    assert found["SGD"]["validation"][1] is None
    assert found["SGD"]["lr"] == 0.5
    assert found["SGD"]["test"] is None
    assert found["SGD"]["words"] == 3
    assert reported([found]) == {"SGD": [math.inf]}


def test_below_is_told_for_each_seed() -> None:
    assert below({"a": [0.1, 0.4], "b": [0.2, math.inf]}, "a", "b") == [True, True]
    assert below({"a": [0.1, 0.2], "b": [0.1, 0.1]}, "a", "b") == [False, False]


def test_a_grid_is_even_on_a_logarithmic_scale() -> None:
    assert grid(0.01, 10, 1) == pytest.approx([0.01, 0.1, 1, 10])
    found = grid(0.1, 10, 3)
    assert len(found) == 7
    assert found[-1] == pytest.approx(10)


def test_better_needs_seeds_that_agree() -> None:
    agree = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.21, 0.29, 0.41, 0.5]}
    assert better(agree, "a", "b")
    assert not better(agree, "b", "a")
    assert not better({"a": [0.1, 0.9, 0.2, 0.8], "b": [0.5, 0.4, 0.6, 0.7]}, "a", "b")
    assert not better({"a": [0.1, 0.2], "b": [0.2, math.inf]}, "a", "b")
