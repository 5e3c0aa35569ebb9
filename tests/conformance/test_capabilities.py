"""Each clause detects an optimizer that violates it, and only that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

import gdlightning as gdl
from gdlightning.conformance.capabilities import ALONE
from gdlightning.conformance.conformance_record import examine
from gdlightning.conformance.training_check import quiet
from gdlightning.optimizers import registry
from gdlightning.optimizers.entry import CLAUSES
from gdlightning.optimizers.registry import find

quiet()


class Plain(SGD):
    """Optimizer that satisfies all clauses."""

    def __init__(self, params: Any, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr, momentum=0.9, weight_decay=weight_decay)


class Timid(Plain):
    """Optimizer with almost no steps."""

    def __init__(self, params: Any, lr: float = 1e-7) -> None:
        super().__init__(params, lr)


class Stubborn(Plain):
    """Optimizer that keeps its initial learning rate."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        kept = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = group.setdefault("first_lr", group["lr"])
        loss = super().step(closure)
        for group, lr in zip(self.param_groups, kept, strict=True):
            group["lr"] = lr
        return loss


class Uniform(Plain):
    """Optimizer that applies the settings of the first group to all."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for group in self.param_groups:
            group["lr"] = self.param_groups[0]["lr"]
            group["weight_decay"] = self.param_groups[0]["weight_decay"]
        return super().step(closure)


class Forgetful(Plain):
    """Optimizer that does not save its momentum."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "state": {}}


class Careless(Plain):
    """Optimizer that changes parameters without a gradient."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = super().step(closure)
        with torch.no_grad():
            for parameter in (p for g in self.param_groups for p in g["params"]):
                if parameter.grad is None:
                    parameter.mul_(0.9)
        return loss


class Greedy(Plain):
    """Optimizer that converts bfloat16 parameters to float32."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for parameter in (p for g in self.param_groups for p in g["params"]):
            if parameter.dtype == torch.bfloat16:
                parameter.data = parameter.data.float()
                parameter.grad = None
        return super().step(closure)


class Hasty(Plain):
    """Optimizer that halves accumulated gradients in each backward pass."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        for parameter in (p for g in self.param_groups for p in g["params"]):
            parameter.register_post_accumulate_grad_hook(self.halve)

    @staticmethod
    def halve(parameter: Tensor) -> None:
        if parameter.grad is not None:
            parameter.grad.mul_(0.5)


class Noisy(Plain):
    """Optimizer that adds noise without a seed."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = super().step(closure)
        with torch.no_grad():
            for parameter in (p for g in self.param_groups for p in g["params"]):
                noise: Tensor = torch.randn(parameter.shape, generator=NOISE)
                parameter.add_(noise.to(parameter.dtype), alpha=1e-5)
        return loss


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the optimizers that a test registers."""
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


NOISE = torch.Generator()
BREAKS: dict[type[Optimizer], set[str]] = {
    Plain: set(),
    Timid: {"learns"},
    Stubborn: {"schedule"},
    Uniform: {"groups"},
    Forgetful: {"resume"},
    Careless: {"no-gradient"},
    Greedy: {"bf16"},
    Noisy: {"resume", "no-gradient"},
    Hasty: {"accumulation"},
}


@pytest.mark.parametrize("cls", BREAKS, ids=lambda cls: cls.__name__)
def test_each_violation_breaks_its_clause_alone(cls: type[Optimizer]) -> None:
    gdl.register(f"contract-{cls.__name__}", summary="for a test")(cls)
    record = examine(find(f"contract-{cls.__name__}"), costs=False)
    assert set(record.broken) == BREAKS[cls], record.broken
    assert set(record.kept) == set(ALONE) - BREAKS[cls]


def test_record_is_compared_with_the_entry() -> None:
    gdl.register("contract-says-it-cannot", summary="for a test", cannot={"bf16": "so it says"})(
        type("SaysItCannot", (Plain,), {})
    )
    gdl.register("contract-does-not-say", summary="for a test")(type("DoesNotSay", (Greedy,), {}))
    for name, wrong in (
        ("contract-says-it-cannot", "the entry gives a reason, but the clause is satisfied"),
        ("contract-does-not-say", "the weights became"),
    ):
        found = examine(find(name), ["bf16"], costs=False).against(find(name))
        assert len(found) == 1
        assert wrong in found[0]


def test_every_clause_has_a_test() -> None:
    assert {*ALONE, "ddp"} == set(CLAUSES)
