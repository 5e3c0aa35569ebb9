"""Optimizers built by name: parts, defaults, checks and state."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping


def net() -> nn.Module:
    """Return a net with two hidden matrices, an output and vectors."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 2)
    )


def made(given: Any, module: nn.Module) -> Optimizer:
    return build(Choice.of(given), module, Grouping(), Context())[0]


def steps(module: nn.Module, optimizer: Optimizer, count: int) -> None:
    x = torch.linspace(-1, 1, 32).reshape(8, 4)
    for _ in range(count):
        optimizer.zero_grad()
        module(x).square().mean().backward()
        optimizer.step()


def test_muon_trains_matrices_and_its_companion_the_rest() -> None:
    module = net()
    optimizer = made({"name": "muon", "companion": {"name": "sgd", "lr": 0.3}}, module)
    assert isinstance(optimizer, Optimizer)
    by_lr = {g["lr"]: [p.shape for p in g["params"]] for g in optimizer.param_groups}
    assert by_lr[0.02] == [torch.Size([6, 4]), torch.Size([6, 6])]
    total = sum(len(g["params"]) for g in optimizer.param_groups)
    assert total == len(list(module.parameters()))
    assert {g["lr"] for g in optimizer.param_groups} == {0.02, 0.3}


def test_a_schedule_over_a_chain_reaches_its_parts() -> None:
    module = net()
    optimizer = made("muon", module)
    scheduler = LambdaLR(optimizer, lambda step: 0.5**step)
    optimizer.step()
    scheduler.step()
    parts: list[Optimizer] = optimizer.parts  # type: ignore[attr-defined]
    assert [g["lr"] for part in parts for g in part.param_groups] == [0.01] + [0.0005] * 2


@pytest.mark.parametrize("name", ["muon", "adamw", "soap", "schedule-free-adamw", "lion"])
def test_resume_is_bitwise_identical(name: str) -> None:
    module = net()
    optimizer = made(name, module)
    steps(module, optimizer, 4)
    other = copy.deepcopy(module)
    resumed = made(name, other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(module, optimizer, 3)
    steps(other, resumed, 3)
    for a, b in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_state_of_different_parts_is_an_error() -> None:
    first = made("muon", net())
    second = made({"name": "muon", "companion": "sgd"}, net())
    with pytest.raises(ValueError, match="is of a chain of"):
        second.load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("adamw", {"lr": 1e-3, "weight_decay": 0.01}),
        ("adagrad", {"lr": 0.01}),
        ("muon", {"lr": 0.02}),
    ],
)
def test_defaults_are_common_in_the_literature(name: str, wanted: dict[str, Any]) -> None:
    first = made(name, net()).param_groups[0]
    assert {k: first[k] for k in wanted} == wanted
    lion = made("lion", net()).param_groups[0]["lr"]
    assert 1e-3 / 10 <= lion <= 1e-3 / 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "adamw", "lr": -1.0}, r"optimizer\.lr must not be negative \(got -1"),
        ({"name": "adamw", "betas": [0.9, 1.5]}, r"optimizer\.betas must be in \[0, 1\)"),
        ({"name": "adamw", "lrr": 1.0}, "Did you mean lr"),
        ({"name": "sam", "companion": "adam"}, r"optimizer\.companion is not supported for sam"),
        ({"name": "sgd", "base": "adam"}, "does not support a base"),
        ({"lr": 1.0}, "must have a name"),
    ],
)
def test_invalid_choices_are_an_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(given, net())


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("name", "sparse"), [("adagrad", True), ("sparse-adam", True), ("sgd", True), ("lion", False)]
)
def test_gradients_are_sparse_if_the_optimizer_accepts_them(name: str, sparse: bool) -> None:
    module = nn.Sequential(nn.EmbeddingBag(9, 3, sparse=True), nn.Linear(3, 2))
    optimizer = made({"name": name, "momentum": 0} if name == "sgd" else name, module)
    module(torch.tensor([[1, 2], [2, 3]])).sum().backward()
    weight = next(module.parameters())
    assert weight.grad is not None
    assert weight.grad.is_sparse is sparse
    before = weight.detach().clone()
    optimizer.step()
    moved = (weight != before).any(dim=1).nonzero().flatten().tolist()
    assert moved == [1, 2, 3]


def test_too_large_tensors_are_an_error_unless_another_optimizer_trains_them() -> None:
    module = nn.Sequential(nn.Embedding(9000, 2), nn.Linear(2, 2))
    with pytest.raises(UserError, match=r"square matrix .* \(got 9,000 in 0\.weight\)"):
        made("shampoo", module)
    parts = [{"pattern": "0.*", "name": "adamw"}]
    optimizer = made({"name": "shampoo", "parts": parts}, module)
    assert len(optimizer.param_groups) > 1


def test_error_names_optimizers_that_accept_convolutions() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(UserError, match="Use muon, which treats convolutions as matrices"):
        made("spectral-sphere", module)
    for name in ("muon", "pytorch_optimizer:muon"):
        assert made(name, module)
