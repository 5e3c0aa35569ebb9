"""Convolution kernels are trained as matrices."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdlightning.optimizers.muon import Muon

OPTIONS: dict[str, Any] = {"lr": 0.02, "weight_decay": 0.1}


def stepped(
    optimizer: torch.optim.Optimizer, weight: nn.Parameter, gradients: list[Tensor]
) -> None:
    for gradient in gradients:
        weight.grad = gradient.view_as(weight).clone()
        optimizer.step()


@pytest.mark.parametrize("adjust", [None, "match_rms_adamw"])
@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 5), (6, 2, 3, 3), (4, 2, 3, 3, 3)])
def test_steps_equal_torch_on_the_flattened_kernel(
    shape: tuple[int, ...], adjust: str | None
) -> None:
    torch.manual_seed(0)
    start = torch.randn(shape)
    gradients = [torch.randn(shape) for _ in range(4)]
    own, flat = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    options = OPTIONS | {"adjust_lr_fn": adjust}
    stepped(Muon([own], **options), own, gradients)
    stepped(torch.optim.Muon([flat], **options), flat, gradients)
    assert own.shape == start.shape
    assert torch.equal(own.flatten(1), flat)


def test_memory_format_does_not_matter() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 8, 3)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(4, 3, 6, 6)
    for net in (plain, last):
        optimizer: torch.optim.Optimizer = Muon([net.weight], **OPTIONS)
        for _ in range(3):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    assert not last.weight.is_contiguous()
    # The iteration uses bfloat16, whose sums depend on the order of the columns.
    torch.testing.assert_close(last.weight, plain.weight, rtol=0.02, atol=2e-3)


def test_groups_keep_settings_and_states_keep_shapes() -> None:
    torch.manual_seed(0)
    first, second = nn.Parameter(torch.randn(4, 2, 3)), nn.Parameter(torch.randn(5, 3))
    groups = [{"params": [first], "lr": 0.0}, {"params": [second]}]
    optimizer: torch.optim.Optimizer = Muon(groups, **OPTIONS | {"weight_decay": 0.0})
    before = first.detach().clone(), second.detach().clone()
    first.grad, second.grad = torch.randn(4, 2, 3), torch.randn(5, 3)
    optimizer.step()
    assert torch.equal(first, before[0])
    assert not torch.equal(second, before[1])
    assert [g["params"] for g in optimizer.param_groups] == [[first], [second]]
    buffers = [optimizer.state[p]["momentum_buffer"].shape for p in (first, second)]
    assert buffers == [first.shape, second.shape]
    again = Muon([{"params": [first]}, {"params": [second]}], **OPTIONS)
    again.load_state_dict(optimizer.state_dict())
    kept = again.state[first]["momentum_buffer"]
    assert torch.equal(kept, optimizer.state[first]["momentum_buffer"])
