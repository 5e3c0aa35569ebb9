"""Adaptive sharpness is invariant under rescaling; sampling errors match repeated draws."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.curvature.curvature_report import examine, sampling_error
from gdlightning.curvature.hessian import Hessian


def test_rescaling_the_layers_of_a_relu_net_leaves_adaptive_sharpness_as_it_is() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    inputs, targets = torch.randn(40, 5).double(), torch.arange(40) % 3
    other = copy.deepcopy(net)
    with torch.no_grad():  # rescale each unit without changing the function
        factors = torch.linspace(4, 12, 16).double()
        first, last = other[0], other[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        first.weight.mul_(factors[:, None])
        first.bias.mul_(factors)
        last.weight.div_(factors)
    torch.testing.assert_close(other(inputs), net(inputs))

    def report(module: nn.Module) -> tuple[float, float, float]:
        def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
            return F.cross_entropy(module(batch[0]), batch[1])

        hessian = Hessian(loss, dict(module.named_parameters()), [(inputs, targets)])
        found = examine(hessian, steps=90, seen=1.0)
        assert found.adaptive.sampling == 0
        return found.top[0].value, found.trace.value, found.adaptive.value

    (sharp, trace, adaptive), (sharper, more, same) = report(net), report(other)
    assert sharper > 10 * sharp
    assert more > 5 * trace
    assert same == pytest.approx(adaptive, rel=1e-4)


def regression(count: int, seed: int) -> tuple[nn.Linear, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = 2 * torch.rand(count, 6, generator=generator, dtype=torch.float64) - 1
    inputs[:, 0] *= 3
    return nn.Linear(6, 1, dtype=torch.float64), inputs


def test_errors_for_examples_that_were_not_seen() -> None:
    """Estimates from a fifth of the data deviate from the full data as predicted."""
    layer, inputs = regression(2000, 0)

    def loss(batch: Tensor) -> Tensor:
        out: Tensor = layer(batch)
        return out.square().mean() / 2

    parameters = dict(layer.named_parameters())
    whole = examine(Hessian(loss, parameters, [inputs]), top=7, bottom=0, seen=1.0)
    assert whole.trace.value == pytest.approx(float(inputs.square().sum()) / 2000 + 1)
    apart = []
    for seed in range(30):
        order = torch.randperm(2000, generator=torch.Generator().manual_seed(seed))
        hessian = Hessian(loss, parameters, list(inputs[order[:400]].split(40)))
        part = examine(hessian, top=1, bottom=0, steps=7, seen=0.2)
        for found, wanted in ((part.top[0], whole.top[0]), (part.trace, whole.trace)):
            assert found.sampling is not None
            apart.append((found.value - wanted.value) / math.hypot(found.sampling, found.bound))
    errors = torch.tensor(apart).view(30, 2)
    assert (errors.abs() < 2.3).double().mean() >= 0.9
    assert errors.square().mean().sqrt() == pytest.approx(1.15, abs=0.35)


def test_one_batch_tells_nothing_of_others() -> None:
    layer, inputs = regression(40, 1)

    def loss(batch: Tensor) -> Tensor:
        out: Tensor = layer(batch)
        return out.square().mean()

    hessian = Hessian(loss, dict(layer.named_parameters()), [inputs])
    assert examine(hessian, top=1, seen=0.1).top[0].sampling is None
    assert examine(hessian, top=1, seen=1.0).top[0].sampling == 0
    two = Hessian(loss, dict(layer.named_parameters()), list(inputs.split(20)))
    values = torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert sampling_error(two, values, 0.0) == pytest.approx(1.0)  # the standard deviation is √2
    assert sampling_error(two, values, 0.75) == pytest.approx(0.5)
