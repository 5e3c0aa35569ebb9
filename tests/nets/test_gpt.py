"""The decoder: causal attention, tied weights and depth-scaled initialisation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gdlightning.errors import UserError
from gdlightning.nets.attention import Attention, rotate
from gdlightning.nets.encoder import TransformerEncoder
from gdlightning.nets.gpt import GPT


def make(**options: Any) -> GPT:
    """Return a small model with weights large enough for differences to show."""
    torch.manual_seed(0)
    net = GPT(11, width=16, depth=2, heads=2, **options).double().eval()
    for p in net.parameters():
        nn.init.normal_(p, std=0.3)
    return net


@settings(max_examples=25)
@given(
    tokens=st.lists(st.integers(0, 10), min_size=2, max_size=12),
    data=st.data(),
    ngrams=st.integers(1, 4),
)
def test_a_later_token_never_changes_an_earlier_logit(
    tokens: list[int], data: st.DataObject, ngrams: int
) -> None:
    net = make(ngrams=ngrams, ngram_buckets=64)
    at = data.draw(st.integers(1, len(tokens) - 1))
    other = [*tokens[:at], (tokens[at] + 1) % 11, *tokens[at + 1 :]]
    a, b = net(torch.tensor([tokens])), net(torch.tensor([other]))
    torch.testing.assert_close(a[:, :at], b[:, :at], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(a[:, at], b[:, at])
    shorter = net(torch.tensor([tokens[:at]]))
    torch.testing.assert_close(a[:, :at], shorter, rtol=1e-9, atol=1e-9)


def test_an_earlier_token_changes_all_later_logits() -> None:
    net = make()
    tokens = torch.arange(8)[None]
    changed = tokens.clone()
    changed[0, 0] = 9
    difference = (net(tokens) - net(changed)).abs().amax(dim=2)[0]
    assert (difference > 1e-9).all()


def test_n_grams_distinguish_contexts_without_attention() -> None:
    net = make(ngrams=3, ngram_buckets=1000)
    net.blocks = nn.ModuleList()  # without attention, only n-grams see earlier tokens
    a, b, c = (net(torch.tensor([t]))[0, -1] for t in ([1, 2, 3], [4, 2, 3], [5, 1, 2, 3]))
    assert not torch.allclose(a, b)
    torch.testing.assert_close(a, c)


@pytest.mark.parametrize("tie", [True, False])
def test_tied_weights_are_one_parameter(tie: bool) -> None:
    net = GPT(11, width=16, depth=1, heads=2, tie=tie)
    assert (net.head.weight is net.embedding.weight) is tie
    count = sum(p.numel() for p in net.parameters())
    other = sum(p.numel() for p in GPT(11, width=16, depth=1, heads=2, tie=not tie).parameters())
    assert count - other == (-11 * 16 if tie else 11 * 16)
    if tie:  # the gradient is the sum over both uses
        net(torch.tensor([[1, 2]])).sum().backward()
        grad = net.embedding.weight.grad
        assert grad is not None
        assert (grad[5] != 0).any()  # from the head: token 5 is not in the input


@pytest.mark.parametrize("depth", [1, 8])
def test_initialisation_shrinks_with_depth(depth: int) -> None:
    torch.manual_seed(0)
    for net in (GPT(50, width=64, depth=depth), TransformerEncoder(3, 2, width=64, depth=depth)):
        for name, weight in net.blocks.named_parameters():
            if weight.ndim == 2:
                added = "out." in name or "narrow." in name
                wanted = 0.02 / math.sqrt(2 * depth) if added else 0.02
                assert float(weight.detach().std()) == pytest.approx(wanted, rel=0.1), name


def test_attention_calls_torch_and_equals_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    own = F.scaled_dot_product_attention

    def spy(*args: Any, **kwargs: Any) -> Tensor:
        calls.append(kwargs)
        return own(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    torch.manual_seed(0)
    layer = Attention(8, heads=2, causal=True).double()
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    found = layer(x)
    assert len(calls) == 1
    assert calls[0]["is_causal"]
    q, k, v = (x @ w.T for w in layer.qkv.weight.chunk(3))
    heads = []
    for h in range(2):
        part = slice(4 * h, 4 * h + 4)
        scores = q[0, :, part] @ k[0, :, part].T / 2
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
        heads.append(torch.softmax(scores, dim=1) @ v[0, :, part])
    torch.testing.assert_close(found[0], torch.cat(heads, 1) @ layer.out.weight.T)


def test_rotation_keeps_norms_and_depends_on_distance_alone() -> None:
    x, y = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 9, 8).double()
    a, b = rotate(x)[0, 0], rotate(y)[0, 0]
    torch.testing.assert_close(a.norm(dim=1), x[0, 0].norm(dim=1), rtol=1e-6, atol=0)
    products = a @ b.T
    for distance in range(-5, 6):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(products[0, 0], products[0, 4])


def test_odd_head_size_is_an_error() -> None:
    with pytest.raises(UserError, match="even quotient"):
        GPT(11, width=6, heads=2)
