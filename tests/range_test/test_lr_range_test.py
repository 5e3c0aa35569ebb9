"""Range tests of modules with known good learning rates."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.errors import UserError
from gdlightning.optimizers.groups import Grouping, Rule
from gdlightning.range_test.lr_range_test import range_test

PLAIN = {"name": "sgd", "momentum": 0.0, "nesterov": False}
QUIET = {"accelerator": "cpu"}


class Bowl(L.LightningModule):
    """Quadratic of the given curvature, which diverges for learning rates above 2/curvature."""

    def __init__(self, curvature: float = 1.0, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4, 4), 3.0))
        self.curvature, self.scale = curvature, scale

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.scale * self.curvature / 2 * (self.weight**2).sum()


def batches(count: int = 8) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.zeros(count, 1)), batch_size=1)


@pytest.mark.parametrize("curvature", [0.5, 40.0])
def test_gradient_descent_on_a_bowl(curvature: float) -> None:
    found = range_test(Bowl(curvature), batches(), PLAIN, trainer=QUIET)
    assert 0.01 / curvature < found.low < found.high < 2 / curvature
    assert found.bottom < 2.2 / curvature
    assert found.curve.lr[-1] < 40 / curvature  # stops soon after the loss diverges


def test_point_scales_with_the_curvature() -> None:
    points = [range_test(Bowl(c), batches(), PLAIN, trainer=QUIET).point for c in (1.0, 100.0)]
    assert points[0] / points[1] == pytest.approx(100, rel=0.1)


def test_adam_is_invariant_under_the_scale_of_the_loss() -> None:
    found = [range_test(Bowl(scale=s), batches(), "adam", trainer=QUIET) for s in (1.0, 1000.0)]
    assert found[0].point == found[1].point


def test_clipping_is_applied() -> None:
    free, clipped = (
        range_test(Bowl(10.0), batches(), PLAIN, clip=clip, trainer=QUIET) for clip in (None, 0.1)
    )
    assert clipped.point > 10 * free.point


def test_steps_count_optimizer_steps() -> None:
    found = range_test(
        Bowl(),
        batches(),
        PLAIN,
        steps=50,
        lr_min=1e-4,
        lr_max=1.0,
        trainer={**QUIET, "accumulate_grad_batches": 3},
    )
    lrs = found.curve.lr
    assert len(lrs) >= 47
    assert lrs[-1] == pytest.approx(1.0)
    ratios = [b / a for a, b in pairwise(lrs)]
    assert max(ratios) == pytest.approx(min(ratios)) == pytest.approx(1e4 ** (1 / 49))


class Two(Bowl):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Parameter(torch.ones(3))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) + (self.other**2).sum()

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        RATES.append(tuple(g["lr"] for g in optimizer.param_groups))


RATES: list[tuple[float, ...]] = []


def test_groups_with_a_fixed_rate_keep_it() -> None:
    RATES.clear()
    range_test(
        Two(), batches(), PLAIN, groups=Grouping(rules=[Rule("other", lr=1e-3)]), trainer=QUIET
    )
    own = [r for r in zip(*RATES, strict=True) if set(r) == {1e-3}]
    grown = [r for r in zip(*RATES, strict=True) if len(set(r)) == len(r)]
    assert len(own) == len(grown) == 1
    assert grown[0][0] == pytest.approx(1e-6)
    with pytest.raises(UserError, match="all groups have their own"):
        range_test(Bowl(), batches(), groups=Grouping(rules=[Rule("*", lr=1e-3)]), trainer=QUIET)


@pytest.mark.parametrize("optimizer", ["sam", "schedule-free-adamw", "lion", "adagrad"])
def test_optimizers_of_all_kinds(optimizer: str) -> None:
    found = range_test(Bowl(), batches(), optimizer, trainer=QUIET)
    assert 1e-5 < found.low < found.point < found.high < 10


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("prodigy", "prodigy estimates its learning rate"),
        ("alig", "alig estimates its learning rate"),
        ("lbfgs", "lbfgs uses a line search"),
    ],
)
def test_optimizers_without_a_learning_rate_are_an_error(optimizer: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        range_test(Bowl(), batches(), optimizer, trainer=QUIET)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 5}, r"steps must be at least 40.* \(got 5\)"),
        ({"lr_min": 0.0}, "lr_min must be positive"),
        ({"lr_min": 1.0, "lr_max": 0.1}, "smaller than lr_max"),
    ],
)
def test_invalid_ranges_are_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        range_test(Bowl(), batches(), trainer=QUIET, **options)


def test_manual_optimization_is_an_error() -> None:
    module = Bowl()
    module.automatic_optimization = False
    with pytest.raises(UserError, match="Bowl uses manual optimization"):
        range_test(module, batches(), trainer=QUIET)


def test_loss_that_never_falls_is_an_error() -> None:
    class Flat(Bowl):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            return 1 + 0 * self.weight.sum()

    with pytest.raises(UserError, match="did not fall"):
        range_test(Flat(), batches(), PLAIN, trainer=QUIET)
