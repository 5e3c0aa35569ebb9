"""States with queues and objects are saved as plain values and restored."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from helpers import through_a_file
from torch import nn
from torch.optim import Optimizer

from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.state_serialization import MARK

NAMES = (
    "adashift",
    "apollo",
    "conda",
    "fira",
    "galore",
    "scion",
    "scalable-shampoo",
    "torchao:adamw-8bit",
    "torchao:adamw-4bit",
    "torchao:adamw-fp8",
)


def start(name: str) -> tuple[nn.Module, Optimizer]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(12, 64), nn.Tanh(), nn.Linear(64, 64), nn.Linear(64, 2))
    return module, build(Choice.of(name), module, Grouping(), Context())[0]


def advance(module: nn.Module, optimizer: Optimizer, first: int, last: int) -> None:
    for number in range(first, last):
        torch.manual_seed(number)
        optimizer.zero_grad()
        module(torch.randn(8, 12)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_resume_is_bitwise_identical(name: str) -> None:
    module, optimizer = start(name)
    advance(module, optimizer, 0, 14)
    other, resumed = start(name)
    other.load_state_dict(module.state_dict())
    resumed.load_state_dict(through_a_file(optimizer.state_dict()))
    again = through_a_file(resumed.state_dict())  # saved again before the first step
    resumed.load_state_dict(again)
    advance(module, optimizer, 14, 30)
    advance(other, resumed, 14, 30)
    for one, two in zip(module.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_queue_keeps_its_length_when_lightning_moves_states() -> None:
    module, optimizer = start("adashift")
    advance(module, optimizer, 0, 3)
    _, resumed = start("adashift")
    resumed.load_state_dict(optimizer.state_dict())
    for state in resumed.state.values():  # Lightning moves states after loading
        for key, value in state.items():
            state[key] = type(value)(value) if isinstance(value, dict | deque) else value
    advance(module, resumed, 3, 4)
    queues = [s["grad_queue"] for s in resumed.state.values()]
    assert all(isinstance(q, deque) and q.maxlen == 10 for q in queues)


def test_object_of_an_unknown_class_is_an_error() -> None:
    module, optimizer = start("galore")
    advance(module, optimizer, 0, 2)
    state = optimizer.state_dict()
    first = next(iter(state["state"]))
    state["state"][first]["projector"] = {MARK: "subprocess:Popen", "attributes": {}}
    with pytest.raises(ValueError, match="unknown object: subprocess:Popen"):
        optimizer.load_state_dict(state)


def test_quantised_states_are_saved_as_tensors_and_stay_quantised() -> None:
    module, optimizer = start("torchao:adamw-4bit")
    advance(module, optimizer, 0, 2)
    saved = through_a_file(optimizer.state_dict())
    _, resumed = start("torchao:adamw-4bit")
    resumed.load_state_dict(saved)
    sizes = {type(s["exp_avg"]).__name__ for s in resumed.state.values()}
    assert "OptimState4bit" in sizes
    parts = [s["exp_avg"] for s in saved["state"].values() if isinstance(s["exp_avg"], dict)]
    assert [p["parts"]["codes"].dtype for p in parts] == [torch.uint8]
