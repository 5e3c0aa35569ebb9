"""Each clause finds an optimizer that breaks it, and no other clause does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

import gdlightning as gdl
from gdlightning.contract.clauses import ALONE
from gdlightning.contract.record import examine
from gdlightning.contract.trial import quiet
from gdlightning.optimizers import registry
from gdlightning.optimizers.entry import CLAUSES
from gdlightning.optimizers.registry import find

quiet()


class Plain(SGD):
    """Keeps every clause."""

    def __init__(self, params: Any, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr, momentum=0.9, weight_decay=weight_decay)


class Timid(Plain):
    """Steps a millionth."""

    def __init__(self, params: Any, lr: float = 1e-7) -> None:
        super().__init__(params, lr)


class Stubborn(Plain):
    """Keeps its first learning rate."""

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
    """Takes the first group's settings for all."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for group in self.param_groups:
            group["lr"] = self.param_groups[0]["lr"]
            group["weight_decay"] = self.param_groups[0]["weight_decay"]
        return super().step(closure)


class Forgetful(Plain):
    """Does not save its momentum."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "state": {}}


class Careless(Plain):
    """Moves what has no gradient."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = super().step(closure)
        with torch.no_grad():
            for parameter in (p for g in self.param_groups for p in g["params"]):
                if parameter.grad is None:
                    parameter.mul_(0.9)
        return loss


class Greedy(Plain):
    """Wants its parameters in float32 or better."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for parameter in (p for g in self.param_groups for p in g["params"]):
            if parameter.dtype == torch.bfloat16:
                parameter.data = parameter.data.float()
                parameter.grad = None
        return super().step(closure)


class Hasty(Plain):
    """Halves gradients in each backward pass, those of former pieces again."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        for parameter in (p for g in self.param_groups for p in g["params"]):
            parameter.register_post_accumulate_grad_hook(self.halve)

    @staticmethod
    def halve(parameter: Tensor) -> None:
        if parameter.grad is not None:
            parameter.grad.mul_(0.5)


class Noisy(Plain):
    """Adds noise that no seed repeats."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = super().step(closure)
        with torch.no_grad():
            for parameter in (p for g in self.param_groups for p in g["params"]):
                noise: Tensor = torch.randn(parameter.shape, generator=NOISE)
                parameter.add_(noise.to(parameter.dtype), alpha=1e-5)
        return loss


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is known to no other."""
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
def test_a_clause_is_broken_by_what_breaks_it_alone(cls: type[Optimizer]) -> None:
    gdl.register(f"contract-{cls.__name__}", summary="for a test")(cls)
    record = examine(find(f"contract-{cls.__name__}"), costs=False)
    assert set(record.broken) == BREAKS[cls], record.broken
    assert set(record.kept) == set(ALONE) - BREAKS[cls]


def test_a_record_is_held_against_the_entry_both_ways() -> None:
    gdl.register("contract-says-it-cannot", summary="for a test", cannot={"bf16": "so it says"})(
        type("SaysItCannot", (Plain,), {})
    )
    gdl.register("contract-does-not-say", summary="for a test")(type("DoesNotSay", (Greedy,), {}))
    for name, wrong in (
        ("contract-says-it-cannot", "the entry says that it can't, and it can"),
        ("contract-does-not-say", "weights became"),
    ):
        found = examine(find(name), ["bf16"], costs=False).against(find(name))
        assert len(found) == 1
        assert wrong in found[0]


def test_every_clause_has_a_test() -> None:
    assert {*ALONE, "ddp"} == set(CLAUSES)
