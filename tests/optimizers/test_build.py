"""From a name to one torch Optimizer: parts, defaults, checks, state."""

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
    """Two hidden matrices, an output, vectors."""
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


def test_muon_gets_the_matrices_and_its_companion_the_rest() -> None:
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
def test_state_goes_on_bit_by_bit(name: str) -> None:
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


def test_a_state_of_other_parts_is_refused() -> None:
    first = made("muon", net())
    second = made({"name": "muon", "companion": "sgd"}, net())
    with pytest.raises(ValueError, match="is a chain of"):
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
def test_defaults_of_the_field(name: str, wanted: dict[str, Any]) -> None:
    first = made(name, net()).param_groups[0]
    assert {k: first[k] for k in wanted} == wanted
    lion = made("lion", net()).param_groups[0]["lr"]
    assert 1e-3 / 10 <= lion <= 1e-3 / 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "adamw", "lr": -1.0}, "optimizer.lr is -1"),
        ({"name": "adamw", "betas": [0.9, 1.5]}, "optimizer.betas"),
        ({"name": "adamw", "lrr": 1.0}, "Did you mean lr"),
        ({"name": "sam", "companion": "adam"}, "can.t be combined so"),
        ({"name": "sgd", "base": "adam"}, "takes no base"),
        ({"lr": 1.0}, "has no name"),
    ],
)
def test_what_can_not_be_meant_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        made(given, net())


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("name", "sparse"), [("adagrad", True), ("sparse-adam", True), ("sgd", True), ("lion", False)]
)
def test_gradients_are_sparse_where_the_optimizer_takes_them(name: str, sparse: bool) -> None:
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


def test_what_would_ask_for_gigabytes_is_refused_unless_another_takes_it() -> None:
    module = nn.Sequential(nn.Embedding(9000, 2), nn.Linear(2, 2))
    with pytest.raises(UserError, match=r"square matrix .* 0\.weight has one of 9,000"):
        made("shampoo", module)
    parts = [{"pattern": "0.*", "name": "adamw"}]
    optimizer = made({"name": "shampoo", "parts": parts}, module)
    assert len(optimizer.param_groups) > 1


def test_who_takes_convolutions_is_said() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(UserError, match="muon takes convolutions"):
        made("spectral-sphere", module)
    for name in ("muon", "pytorch_optimizer:muon"):
        assert made(name, module)
