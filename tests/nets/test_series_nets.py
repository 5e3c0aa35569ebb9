"""Outputs of the series networks do not depend on the padding."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gdlightning.errors import UserError
from gdlightning.nets.convolution import TemporalConvolution
from gdlightning.nets.encoder import TransformerEncoder
from gdlightning.nets.masks import masked_mean, valid
from gdlightning.nets.recurrent import Recurrent

MAKERS: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: Recurrent(2, 3, width=8, depth=2),
    "gru": lambda: Recurrent(2, 3, cell="gru", width=8, bidirectional=False),
    "convolution": lambda: TemporalConvolution(2, 3, width=8, depth=3),
    "encoder": lambda: TransformerEncoder(2, 3, width=8, depth=2, heads=2),
}


def make(name: str) -> nn.Module:
    """Return a small network in float64, in evaluation mode."""
    torch.manual_seed(0)
    return MAKERS[name]().double().eval()


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=20)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    more=st.integers(0, 6),
    filling=st.sampled_from([0.0, 1.0, -1e6, math.nan, math.inf]),
)
def test_padding_changes_nothing(name: str, lengths: list[int], more: int, filling: float) -> None:
    net = make(name)
    generator = torch.Generator().manual_seed(sum(lengths))
    series = [torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in lengths]
    padded = torch.full((len(lengths), max(lengths) + more, 2), filling, dtype=torch.float64)
    for k, s in enumerate(series):
        padded[k, : len(s)] = s
    together = net(padded, torch.tensor(lengths))
    alone = torch.cat([net(s[None], torch.tensor([len(s)])) for s in series])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", MAKERS)
def test_padding_gets_no_gradient_and_every_step_does(name: str) -> None:
    net = make(name).train()
    series = torch.randn(2, 7, 2, dtype=torch.float64, requires_grad=True)
    net(series, torch.tensor([4, 7])).sum().backward()
    assert series.grad is not None
    moved = series.grad.abs().sum(dim=2) > 0
    assert moved.tolist() == [[True] * 4 + [False] * 3, [True] * 7]


@pytest.mark.parametrize("name", MAKERS)
def test_the_order_of_steps_matters(name: str) -> None:
    net = make(name)
    series = torch.randn(1, 6, 2, dtype=torch.float64)
    length = torch.tensor([6])
    assert not torch.allclose(net(series, length), net(series.flip(1), length), atol=1e-6)


def test_masked_mean_ignores_padding() -> None:
    x = torch.randn(3, 5, 2, dtype=torch.float64)
    lengths = torch.tensor([1, 3, 5])
    found = masked_mean(x, valid(lengths, 5))
    for k, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[k], x[k, :n].mean(dim=0))


def test_invalid_sizes_are_an_error() -> None:
    with pytest.raises(UserError, match="heads 3"):
        TransformerEncoder(2, 3, width=8, heads=3)
    with pytest.raises(ValueError, match="odd"):
        TemporalConvolution(2, 3, kernel=4)
