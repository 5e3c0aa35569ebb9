"""Each wrapper equals a hand-written loop in float64, and behaviour common to all wrappers."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gdlightning.errors import UserError
from gdlightning.optimizers.sam import SAM
from gdlightning.optimizers.wrappers import WRAPPERS, Wrapper, Wrapping
from gdlightning.optimizers.wrappers.cautious import Cautious
from gdlightning.optimizers.wrappers.centralize import Centralize
from gdlightning.optimizers.wrappers.lookahead import Lookahead

STEPS, LR, DECAY = 20, 0.03, 0.2
B1, B2, EPS = 0.9, 0.999, 1e-8
H = torch.tensor([[3.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 2.0]], dtype=torch.float64)


def start() -> Tensor:
    return torch.linspace(-2, 3, 12, dtype=torch.float64).reshape(4, 3)


def value(w: Tensor) -> Tensor:
    return (0.5 * (w @ H * w).sum(1) + (3 * w).sin().sum(1)).sum()


def slope(w: Tensor) -> Tensor:
    return w @ H + 3 * (3 * w).cos()


def trained(make: Callable[[list[nn.Parameter]], Optimizer]) -> Tensor:
    w = nn.Parameter(start())
    optimizer = make([w])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value(w)
        loss.backward()
        return loss

    for step in range(STEPS):  # steps with and without a closure are the same
        if step % 2:
            closure()
            optimizer.step()
        else:
            assert optimizer.step(closure) is not None  # type: ignore[arg-type]
    return w.detach()


class Adam:
    """Update of Adam without weight decay."""

    def __init__(self) -> None:
        self.m = self.v = torch.zeros(4, 3, dtype=torch.float64)
        self.t = 0

    def __call__(self, g: Tensor) -> Tensor:
        self.t += 1
        self.m = B1 * self.m + (1 - B1) * g
        self.v = B2 * self.v + (1 - B2) * g * g
        m, v = self.m / (1 - B1**self.t), self.v / (1 - B2**self.t)
        return -LR * m / (v.sqrt() + EPS)


class Momentum:
    """Update of SGD with momentum."""

    def __init__(self) -> None:
        self.m = torch.zeros(4, 3, dtype=torch.float64)

    def __call__(self, g: Tensor) -> Tensor:
        self.m = 0.9 * self.m + g
        return -LR * self.m


def sgd(params: list[nn.Parameter]) -> Optimizer:
    return SGD(params, lr=LR, momentum=0.9)


def adamw(params: list[nn.Parameter]) -> Optimizer:
    return AdamW(params, lr=LR, weight_decay=DECAY)


BASES: dict[str, tuple[Any, Any, float]] = {
    "sgd": (sgd, Momentum, 0.0),
    "adamw": (adamw, Adam, LR * DECAY),
}


def close(ours: Tensor, theirs: Tensor) -> None:
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12), (ours - theirs).abs().max()


@pytest.mark.parametrize("base", BASES)
def test_lookahead(base: str) -> None:
    make, rule, decay = BASES[base]
    fast, slow, step = start(), start(), rule()
    for t in range(1, STEPS + 1):
        fast = fast * (1 - decay) + step(slope(fast))
        if t % 3 == 0:
            slow = slow + 0.4 * (fast - slow)
            fast = slow.clone()
    close(trained(lambda p: Lookahead(make(p), k=3, alpha=0.4)), fast)


@pytest.mark.parametrize("base", BASES)
def test_cautious(base: str) -> None:
    make, rule, decay = BASES[base]
    w, step = start(), rule()
    left_out = 0
    for _ in range(STEPS):
        g = slope(w)
        u = step(g)
        mask = (u * g < 0).double()
        left_out += int((1 - mask).sum())
        w = w * (1 - decay) + u * mask / mask.mean().clamp(min=1e-3)
    assert left_out > 5  # otherwise the mask was never applied
    close(trained(lambda p: Cautious(make(p))), w)


def test_cautious_does_not_mask_decoupled_decay_of_pytorch_optimizer() -> None:
    from pytorch_optimizer import Lion

    w, m = start(), torch.zeros(4, 3, dtype=torch.float64)
    for _ in range(STEPS):
        g = slope(w)
        u = -LR * (0.9 * m + 0.1 * g).sign()
        m = 0.99 * m + 0.01 * g
        mask = (u * g < 0).double()
        w = w * (1 - LR * DECAY) + u * mask / mask.mean().clamp(min=1e-3)
    close(trained(lambda p: Cautious(Lion(p, lr=LR, weight_decay=DECAY))), w)


@pytest.mark.parametrize("base", BASES)
def test_centralize(base: str) -> None:
    make, rule, decay = BASES[base]
    w, step = start(), rule()
    for _ in range(STEPS):
        g = slope(w)
        w = w * (1 - decay) + step(g - g.mean(1, keepdim=True))
    close(trained(lambda p: Centralize(make(p))), w)


def test_centralize_averages_filters_and_skips_vectors() -> None:
    conv, bias = nn.Parameter(torch.zeros(2, 3, 2, 2)), nn.Parameter(torch.zeros(2))
    optimizer = Centralize(SGD([conv, bias], lr=1.0))
    conv.grad = torch.arange(24.0).reshape(2, 3, 2, 2)
    bias.grad = torch.ones(2)
    optimizer.step()
    assert torch.equal(conv.mean(dim=(1, 2, 3)), torch.zeros(2))
    assert float(conv.detach().std()) > 3
    assert torch.equal(bias, -torch.ones(2))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("wrapper", [Lookahead, Cautious, Centralize])
def test_sparse_gradients_equal_dense_ones(wrapper: Any) -> None:
    found = []
    for sparse in (True, False):
        torch.manual_seed(0)
        table = nn.Embedding(7, 3, sparse=sparse).double()
        optimizer = wrapper(SGD(table.parameters(), lr=0.1))
        for _ in range(6):
            optimizer.zero_grad()
            table(torch.tensor([1, 1, 2, 5])).square().sum().backward()
            optimizer.step()
        found.append(table.weight.detach())
    close(*found)


def test_sam_within_a_wrapper_gets_its_closure() -> None:
    w = start()
    for _ in range(STEPS):
        g = slope(w)
        g = g - g.mean(1, keepdim=True)
        there = slope(w + 0.1 * g / (g.norm() + 1e-12))
        w = w - LR * (there - there.mean(1, keepdim=True))
    ours = nn.Parameter(start())
    optimizer = Centralize(SAM([ours], SGD, lr=LR, rho=0.1))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value(ours)
        loss.backward()
        return loss

    for _ in range(STEPS):
        optimizer.step(closure)
    close(ours.detach(), w)


# Behaviour of every wrapper, including future ones


def around(name: str, params: list[nn.Parameter]) -> Wrapper:
    return Wrapping.of(name).around(adamw(params))


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_groups_and_state_belong_to_the_base(name: str) -> None:
    w = nn.Parameter(start())
    optimizer = around(name, [w])
    scheduler = LambdaLR(optimizer, lambda step: 0.5**step)
    value(w).backward()
    optimizer.step()
    scheduler.step()
    assert optimizer.base.param_groups[0] is optimizer.param_groups[0]
    assert optimizer.base.param_groups[0]["lr"] == LR / 2
    assert optimizer.param_groups[0]["weight_decay"] == DECAY
    assert optimizer.state[w]["exp_avg"] is optimizer.base.state[w]["exp_avg"]


@pytest.mark.parametrize("name", WRAPPERS.names())
@pytest.mark.parametrize("before", [0, 4, 7])
def test_resume_is_bitwise_identical(name: str, before: int) -> None:
    first = nn.Parameter(start().float())
    optimizer = around(name, [first])
    advance(optimizer, first, before)
    stream = io.BytesIO()
    torch.save(optimizer.state_dict(), stream)
    stream.seek(0)
    second = nn.Parameter(first.detach().clone())
    resumed = around(name, [second])
    resumed.load_state_dict(copy.deepcopy(torch.load(stream, weights_only=True)))
    advance(optimizer, first, 10)
    advance(resumed, second, 10)
    assert torch.equal(first, second)


def advance(optimizer: Optimizer, w: nn.Parameter, count: int) -> None:
    for _ in range(count):
        optimizer.zero_grad()
        w.grad = slope(w.detach().double()).float()
        optimizer.step()


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_skipped_step_changes_nothing(name: str) -> None:
    w = nn.Parameter(start())
    optimizer = around(name, [w])
    groups = [dict(g) for g in optimizer.param_groups]

    def closure() -> Tensor:
        raise KeyError

    with pytest.raises(KeyError):
        optimizer.step(closure)
    assert torch.equal(w, start())
    assert [dict(g) for g in optimizer.param_groups] == groups
    assert not optimizer.state


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_parameter_without_gradient_does_not_change(name: str) -> None:
    w, idle = nn.Parameter(start()), nn.Parameter(start())
    optimizer = around(name, [w, idle])
    for _ in range(6):
        w.grad = slope(w.detach())
        optimizer.step()
    assert torch.equal(idle, start())
    assert not torch.equal(w, start())


@pytest.mark.parametrize("name", WRAPPERS.names())
def test_modes_reach_the_base(name: str) -> None:
    seen = []

    class Moody(SGD):
        def train(self) -> None:
            seen.append("train")

        def eval(self) -> None:
            seen.append("eval")

    optimizer = Wrapping.of(name).around(Moody([nn.Parameter(start())], lr=LR))
    optimizer.eval()
    optimizer.train()
    assert seen == ["eval", "train"]


def test_state_of_a_different_wrapper_is_an_error() -> None:
    w = nn.Parameter(start())
    with pytest.raises(ValueError, match="is of a chain of"):
        around("lookahead", [w]).load_state_dict(around("centralize", [w]).state_dict())
    with pytest.raises(ValueError, match="is of a chain of"):
        around("lookahead", [w]).load_state_dict(adamw([w]).state_dict())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lookahed", "Did you mean lookahead"),
        ({"name": "lookahead", "kk": 5}, "no option kk. Did you mean k"),
        ({"name": "lookahead", "k": 0}, r"k must be at least 1 \(got 0\)"),
        ({"name": "lookahead", "alpha": 1.5}, "alpha must be"),
        ({"name": "cautious", "floor": 0}, "floor must be"),
        ({"k": 5}, "a name with options"),
        (["lookahead"], "must be a name, or a name with options"),
    ],
)
def test_invalid_wrappers_are_an_error(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        Wrapping.of(given).around(adamw([nn.Parameter(start())]))
    assert "optimizer.wrappers" in str(error.value)
