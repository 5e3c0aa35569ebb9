"""Recomputed submodules give the same gradients and store fewer activations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gdlightning.errors import UserError
from gdlightning.nets.gpt import GPT
from gdlightning.nets.recompute import recompute


def net() -> GPT:
    torch.manual_seed(0)
    return GPT(vocab_size=17, width=16, depth=3, heads=2, dropout=0.2)


def gradients(module: nn.Module) -> tuple[Tensor, int]:
    """Return the gradient of a loss with dropout, and the number of values that autograd saves."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    torch.manual_seed(1)
    tokens = torch.randint(17, (4, 32))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss = module(tokens).square().mean()
    loss.backward()
    found = [p.grad.flatten() for p in module.parameters() if p.grad is not None]
    return torch.cat(found), kept


def test_gradients_are_bitwise_equal_and_fewer_activations_are_saved() -> None:
    plain, kept = gradients(net())
    again = net()
    assert recompute(again, ["blocks.*"]) == ["blocks.0", "blocks.1", "blocks.2"]
    found, less = gradients(again)
    assert torch.equal(plain, found)
    assert less < 0.5 * kept


def test_parameter_names_do_not_change() -> None:
    again = net()
    recompute(again, ["blocks.1"])
    assert again.state_dict().keys() == net().state_dict().keys()


def test_pattern_without_a_match_is_an_error() -> None:
    with pytest.raises(UserError, match=r"recompute: the pattern block\.\* matches no submodule"):
        recompute(net(), ["block.*"])


def test_batch_norm_is_an_error() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(UserError, match="1 contains batch norm"):
        recompute(module, ["1"])
