"""Eigenvectors of the Hessian for landscapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gdlightning as gdl
from gdlightning.landscape.eigen import sharpest
from gdlightning.landscape.mean_loss import MeanLoss
from gdlightning.landscape.planes import eigen_plane


class Net(gdl.Task):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()

    def loss(self, batch: Any) -> Tensor:
        x, y = batch
        found: Tensor = (self.net(x).squeeze(1) - y).square().mean()
        return found


def batches() -> list[Any]:
    drawn = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(n, 3, generator=drawn, dtype=torch.float64),
            torch.randn(n, generator=drawn, dtype=torch.float64),
        )
        for n in (8, 8, 3)
    ]


def test_eigenvectors_equal_the_dense_hessian() -> None:
    module, data = Net(), batches()
    parameters, size = list(module.parameters()), 19
    total = torch.stack([len(y) * module.loss((x, y)) for x, y in data]).sum() / size
    gradients = torch.autograd.grad(total, parameters, create_graph=True)
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(slope, parameters, retain_graph=True)])
        for slope in torch.cat([g.flatten() for g in gradients])
    ]
    values, vectors = torch.linalg.eigh(torch.stack(rows))
    for k, curve in enumerate(sharpest(module, data, 2), start=1):
        assert curve.value == pytest.approx(float(values[-k]), rel=1e-3)
        assert abs(curve.value - float(values[-k])) <= curve.bound
        flat = torch.cat([direction.flatten() for direction in curve.direction.values()])
        assert abs(float(flat @ vectors[:, -k])) == pytest.approx(1.0, abs=1e-3)


def test_loss_has_the_curvature_along_them() -> None:
    module, data = Net(), batches()
    mean_loss = MeanLoss(module, {"train": data})
    curves = sharpest(module, data, 2)
    plane = eigen_plane(mean_loss.weights, curves, 21, None)
    assert plane.axes[0].values[-1] == pytest.approx((2 / curves[0].value) ** 0.5)
    step = 1e-3
    points = step * torch.tensor([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1.0]]).double()
    found = mean_loss.stacked(plane.weights(points))["train"]
    for k, curve in enumerate(curves):
        second = found[2 * k + 1] + found[2 * k + 2] - 2 * found[0]
        assert float(second) / step**2 == pytest.approx(curve.value, rel=1e-3)
