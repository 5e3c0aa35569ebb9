"""Stability limits by formula, by trial on quadratics, and in full-batch training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RMSprop

from gdlightning.curvature.curvature_report import MeasuredValue
from gdlightning.curvature.empirical_limit import measured_limit
from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.stability import roots_of, rule_of
from gdlightning.curvature.stability_margin import standing
from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.groups import Grouping

Parameters = Iterable[nn.Parameter]


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 2.0),
        ({"momentum": 0.9}, 2 * 1.9),
        ({"momentum": 0.5}, 2 * 1.5),
        ({"momentum": 0.9, "dampening": 0.9}, 2 * 1.9 / 0.1),
        ({"momentum": 0.8, "dampening": 0.5}, 2 * 1.8 / 0.5),
        ({"momentum": 0.9, "nesterov": True}, 2 * 1.9 / 2.8),
        ({"momentum": 0.5, "nesterov": True}, 2 * 1.5 / 2.0),
    ],
    ids=str,
)
def test_limits_of_sgd(options: dict[str, Any], limit: float) -> None:
    def make(parameters: Sequence[nn.Parameter]) -> Optimizer:
        return SGD(parameters, lr=0.3, **options)

    rule = rule_of([make([nn.Parameter(torch.ones(1))])])
    assert rule is not None
    assert rule.limit == pytest.approx(limit)
    assert not rule.divided
    assert measured_limit(make, 0.3) == pytest.approx(limit, rel=1e-3)


HUGE, LATE = 1e100, 1e14
"""Second-moment root that gradients of about 1 do not change; step after all bias corrections."""
SLOW = 1 - 1e-12


def frozen(optimizer: Optimizer, **state: float) -> Optimizer:
    """Set a state that does not change, so that steps are linear in the gradient."""
    for parameter in (p for g in optimizer.param_groups for p in g["params"]):
        optimizer.state[parameter] = {
            k: torch.tensor(v) if k in ("step", "mu_product") else torch.full_like(parameter, v)
            for k, v in {"step": LATE, **state}.items()
        }
    return optimizer


FROZEN: dict[str, tuple[Callable[[Parameters], Optimizer], float]] = {
    "adam": (
        lambda p: frozen(Adam(p, HUGE / 2, (0.9, SLOW)), exp_avg=0.0, exp_avg_sq=HUGE**2),
        38.0,
    ),
    "adamw": (
        lambda p: frozen(
            AdamW(p, HUGE / 2, (0.8, SLOW), weight_decay=0.0), exp_avg=0.0, exp_avg_sq=HUGE**2
        ),
        2 * 1.8 / 0.2,
    ),
    "amsgrad": (
        lambda p: frozen(
            Adam(p, HUGE / 2, (0.9, 0.999), amsgrad=True),
            exp_avg=0.0,
            exp_avg_sq=0.0,
            max_exp_avg_sq=HUGE**2,
        ),
        38.0,
    ),
    "adamax": (
        lambda p: frozen(Adamax(p, HUGE / 2, (0.9, SLOW)), exp_avg=0.0, exp_inf=HUGE),
        38.0,
    ),
    "nadam": (
        lambda p: frozen(
            NAdam(p, HUGE / 2, (0.9, SLOW)), exp_avg=0.0, exp_avg_sq=HUGE**2, mu_product=0.0
        ),
        2 * 1.9 / (0.1 * 1.9 + 0.9 * 0.1),
    ),
    "rmsprop": (lambda p: frozen(RMSprop(p, HUGE / 2, SLOW), square_avg=HUGE**2), 2.0),
    "rmsprop with momentum": (
        lambda p: frozen(
            RMSprop(p, HUGE / 2, SLOW, momentum=0.9), square_avg=HUGE**2, momentum_buffer=0.0
        ),
        3.8,
    ),
    "adagrad": (lambda p: frozen(Adagrad(p, HUGE / 2), sum=HUGE**2), 2.0),
}


@pytest.mark.parametrize("name", FROZEN)
def test_limits_of_those_that_divide(name: str) -> None:
    """lr / P is 1/2, so the measured limit is in units of P."""
    make, limit = FROZEN[name]
    weight = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = make([weight])
    rule, roots = rule_of([optimizer]), roots_of([optimizer], {"w": weight})
    assert rule is not None
    assert roots is not None
    assert rule.divided
    assert rule.limit == pytest.approx(limit, rel=1e-6)
    assert roots.tolist() == pytest.approx([HUGE] * 3, rel=1e-6)
    assert measured_limit(make, 0.5) == pytest.approx(limit, rel=1e-3)


def test_roots_early_in_training_have_the_corrections() -> None:
    """The next step of each optimizer is lr / P times its average."""
    torch.manual_seed(0)
    makers: list[Callable[[Parameters], Optimizer]] = [
        lambda p: Adam(p, 0.1, eps=0.01),
        lambda p: Adam(p, 0.1, amsgrad=True),
        lambda p: NAdam(p, 0.1),
        lambda p: Adamax(p, 0.1),
        lambda p: RMSprop(p, 0.1, centered=True),
        lambda p: Adagrad(p, 0.1, lr_decay=0.2),
    ]
    for make in makers:
        weight = nn.Parameter(torch.randn(5, dtype=torch.float64))
        optimizer = make([weight])
        assert roots_of([optimizer], {"w": weight}) is None
        for _ in range(3):
            weight.grad = torch.randn(5, dtype=torch.float64)
            before = weight.detach().clone()
            optimizer.step()
        rule, roots = rule_of([optimizer]), roots_of([optimizer], {"w": weight})
        assert rule is not None
        assert roots is not None
        assert weight.grad is not None
        mean = optimizer.state[weight].get("exp_avg", torch.zeros(()))
        step = 0.1 / roots * (rule.direct * weight.grad + rule.mean * mean)
        close = 0.03 if isinstance(optimizer, NAdam) else 1e-9  # NAdam uses μ of the next step
        torch.testing.assert_close(before - weight.detach(), step, rtol=close, atol=1e-12)


def test_groups_parts_and_those_that_are_not_known() -> None:
    one, two, three = (nn.Parameter(torch.ones(k)) for k in (1, 2, 3))
    parameters = {"one": one, "two": two, "three": three}
    groups: list[dict[str, Any]] = [{"params": [one], "lr": 0.1}, {"params": [two]}]
    first = SGD(groups, lr=0.2, momentum=0.9)
    assert rule_of([first]) == rule_of([first, SGD([three], lr=0.3, momentum=0.9)])
    assert rule_of([first, SGD([three], lr=0.3)]) is None
    roots = roots_of([first], parameters)
    assert roots is not None
    assert roots.tolist() == [1.0] * 3 + [float("inf")] * 3
    assert rule_of([torch.optim.Rprop([one])]) is None

    class Own(SGD):
        pass

    assert rule_of([Own([one], lr=0.1)]) is None


@pytest.mark.parametrize(
    ("choice", "limit"),
    [
        ("gd", 2.0),
        ({"name": "gd", "lr": 0.5, "weight_decay": 0.4}, 1.8),  # reduced by lr × weight decay
        ({"name": "qhm", "lr": 0.1}, None),
        ("aggmo", None),
        ("schedule-free-sgd", 20.0),
        ({"name": "momentum", "lr": 0.1, "wrappers": ["lookahead"]}, None),
    ],
    ids=str,
)
def test_limits_of_registered_ones_by_trial(choice: Any, limit: float | None) -> None:
    """Steps shrink slightly below the limit and grow slightly above it."""
    chosen = Choice.of(choice)

    def make(parameters: Sequence[nn.Parameter]) -> Optimizer:
        every = Grouping(decay=("matrix", "output", "embedding", "vector"))
        return build(chosen, nn.ParameterList(parameters), every, Context())[0]

    lr = chosen.value("lr")
    found = measured_limit(make, lr)
    assert found is not None
    if limit is not None:
        assert found == pytest.approx(limit, rel=0.005)
    for factor, grows in ((0.97, False), (1.03, True)):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer: Any = make([weight])
        if hasattr(optimizer, "train"):
            optimizer.train()
        for _ in range(3000):
            weight.grad = weight.detach() * found * factor / lr
            optimizer.step()
        assert (abs(float(weight.detach())) > 1) == grows


@pytest.mark.parametrize("name", ["adamw", "lion", "muon", "lars", "sam", "lbfgs", "adahessian"])
def test_what_is_not_linear_has_no_limit(name: str) -> None:
    choice = Choice.of(name)

    def make(parameters: Sequence[nn.Parameter]) -> Optimizer:
        return build(choice, nn.ParameterList(parameters), Grouping(), Context())[0]

    assert measured_limit(make, choice.value("lr")) is None


EDGE: dict[str, tuple[Callable[[Parameters], Optimizer], int, float, float]] = {
    "gradient descent": (lambda p: SGD(p, 0.6), 2000, 2.0, 2.2),
    "heavy ball": (lambda p: SGD(p, 0.7, momentum=0.9), 1500, 3.5, 4.0),
    "nesterov": (lambda p: SGD(p, 0.25, momentum=0.9, nesterov=True), 1500, 1.28, 1.45),
    "adam": (lambda p: Adam(p, 3e-3), 2000, 36.0, 40.0),
}


@pytest.mark.parametrize("name", EDGE)
def test_full_batch_training_settles_at_the_limit(name: str) -> None:
    """Training reaches the edge of stability (Cohen et al. 2021, arXiv:2103.00065)."""
    make, steps, low, high = EDGE[name]
    pixels, digits = load_digits(return_X_y=True)
    inputs = torch.tensor(pixels[:200] / 16, dtype=torch.float32)
    inputs, targets = inputs - inputs.mean(0), F.one_hot(torch.tensor(digits[:200]), 10).float()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10)
    )

    def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
        apart: Tensor = net(batch[0]) - batch[1]
        return apart.square().sum(1).mean() / 2

    optimizer = make(net.parameters())
    hessian = Hessian(loss, dict(net.named_parameters()), [(inputs, targets)], memory=0)
    start = standing(hessian, [optimizer], seen=1)
    assert start is not None
    products: list[MeasuredValue] = []
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss((inputs, targets)).backward()
        optimizer.step()
        if step > steps * 0.7 and step % 100 == 0:
            found = standing(hessian, [optimizer], seen=1)
            assert found is not None
            products.append(found.product)
    mean = sum(p.value for p in products) / len(products)
    assert low <= mean <= high
    assert all(p.bound < 0.01 * p.value for p in products)
    if name != "adam":  # Adam has no second moment at first
        assert start.product.value < low
