"""Parts that are computed again give the same gradients, and keep less."""

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
    """Of a loss with dropout; and the numbers that autograd keeps for them."""
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


def test_the_same_bits_with_dropout_and_less_is_kept() -> None:
    plain, kept = gradients(net())
    again = net()
    assert recompute(again, ["blocks.*"]) == ["blocks.0", "blocks.1", "blocks.2"]
    found, less = gradients(again)
    assert torch.equal(plain, found)
    assert less < 0.5 * kept


def test_names_of_weights_stay() -> None:
    again = net()
    recompute(again, ["blocks.1"])
    assert again.state_dict().keys() == net().state_dict().keys()


def test_patterns_that_match_nothing_are_told() -> None:
    with pytest.raises(UserError, match=r"recompute: the pattern block\.\* matches no part"):
        recompute(net(), ["block.*"])


def test_running_statistics_would_count_twice() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(UserError, match="1 has batch norms"):
        recompute(module, ["1"])
