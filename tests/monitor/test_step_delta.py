from __future__ import annotations

import torch
from torch import nn

from gdlightning.monitor.step_delta import Movement


def test_a_step_is_measured_by_its_norms_and_its_slope() -> None:
    weights = [nn.Parameter(torch.randn(4, 3, dtype=torch.float64)) for _ in range(3)]
    gradients = [torch.randn(4, 3, dtype=torch.float64) for _ in weights]
    for w, g in zip(weights, gradients, strict=True):
        w.grad = g.clone()
    before = [w.detach().clone() for w in weights]
    movement = Movement(weights)
    optimizer = torch.optim.SGD(weights, lr=0.1)
    nn.utils.clip_grad_norm_(weights, 0.5)  # the gradient counts as it was before
    optimizer.step()
    moved = movement.moved()
    steps = [w.detach() - b for w, b in zip(weights, before, strict=True)]
    slope = sum(float((s * g).sum()) for s, g in zip(steps, gradients, strict=True))
    assert abs(float(moved.slope) - slope) < 1e-6 * abs(slope)
    for k in range(3):
        torch.testing.assert_close(moved.gradient[k], gradients[k].norm().float())
        torch.testing.assert_close(moved.weight[k], before[k].norm().float())
        torch.testing.assert_close(moved.update[k], steps[k].norm().float())
    whole = torch.cat([s.flatten() for s in steps]).norm()
    assert abs(float(moved.ratio) - float(whole / torch.cat(before).norm())) < 1e-6


def test_rows_of_a_sparse_gradient_count_alone() -> None:
    table = nn.Embedding(1000, 2, sparse=True)
    table(torch.tensor([3, 7, 7])).square().sum().backward()
    grad = table.weight.grad
    assert grad is not None
    dense = grad.to_dense()
    movement = Movement([table.weight])
    assert movement.before[0].shape == (2, 2)
    before = table.weight.detach().clone()
    torch.optim.SGD([table.weight], lr=0.1).step()
    moved = movement.moved()
    torch.testing.assert_close(moved.slope, ((table.weight.detach() - before) * dense).sum())
    dot, first, second = movement.alike([table.weight])  # the same gradient once more
    torch.testing.assert_close(dot, first)
    torch.testing.assert_close(second, first)


def test_weights_without_a_gradient_did_not_move() -> None:
    movement = Movement([nn.Parameter(torch.ones(2))])
    assert float(movement.moved().slope) == 0
