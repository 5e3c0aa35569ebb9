"""SAM equals a hand-written loop; L-BFGS minimises a quadratic."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gdlightning.optimizers.lbfgs import LBFGS
from gdlightning.optimizers.sam import SAM

H = torch.tensor([[3.0, 0.5], [0.5, 1.0]], dtype=torch.float64)


def value(w: Tensor) -> Tensor:
    return 0.5 * w @ H @ w + w[0].sin()


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_equals_a_hand_written_loop(adaptive: bool) -> None:
    ours = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = SAM([ours], torch.optim.SGD, lr=0.1, rho=0.3, adaptive=adaptive)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value(ours)
        loss.backward()
        return loss

    theirs = ours.detach().clone()
    for _ in range(20):
        optimizer.step(closure)
        slope = H @ theirs + torch.tensor([theirs[0].cos(), 0.0], dtype=torch.float64)
        scale = theirs.abs() if adaptive else torch.ones_like(theirs)
        ascent = scale.square() * slope * (0.3 / ((scale * slope).norm() + 1e-12))
        worst = theirs + ascent
        there = H @ worst + torch.tensor([worst[0].cos(), 0.0], dtype=torch.float64)
        theirs = theirs - 0.1 * there
    assert torch.allclose(ours.detach(), theirs, rtol=0, atol=1e-12)


def test_sam_without_a_closure_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="closure"):
        SAM([torch.nn.Parameter(torch.zeros(1))]).step()


def test_lbfgs_finds_the_minimum_and_stops_with_lr_0() -> None:
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = LBFGS([w], line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = value(w)
        loss.backward()
        return loss

    optimizer.step(closure)
    closure()
    assert w.grad is not None
    assert w.grad.norm() < 1e-4
    before = w.detach().clone()
    optimizer.param_groups[0]["lr"] = 0
    assert optimizer.step(closure) == value(before)
    assert torch.equal(w, before)
