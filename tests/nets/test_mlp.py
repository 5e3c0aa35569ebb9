"""Networks for tabular data."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gdlightning.nets.mlp import MLP, Linear, ResidualMLP

MAKERS = {"linear": Linear, "mlp": MLP, "residual": ResidualMLP}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(("numeric", "cardinalities"), [(3, [4, 2]), (0, [5]), (2, [])])
def test_every_feature_affects_the_output(
    name: str, numeric: int, cardinalities: list[int]
) -> None:
    torch.manual_seed(0)
    net = MAKERS[name](numeric, cardinalities, 2).eval()
    x = torch.randn(6, numeric)
    codes = torch.zeros(6, len(cardinalities), dtype=torch.int64)
    out = net(x, codes)
    assert out.shape == (6, 2)
    for k in range(numeric):
        changed = x.clone()
        changed[:, k] += 1
        assert not torch.allclose(net(changed, codes), out)
    for k in range(len(cardinalities)):
        other = codes.clone()
        other[:, k] = 1
        assert not torch.allclose(net(x, other), out)


def test_linear_is_linear() -> None:
    net = Linear(3, [], 1).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    none = torch.zeros(5, 0, dtype=torch.int64)
    torch.testing.assert_close(net(x, none), x @ net.head.weight.T + net.head.bias)


def test_hidden_sets_the_layer_widths() -> None:
    def widths(net: MLP) -> list[int]:
        return [m.out_features for m in net.layers if isinstance(m, nn.Linear)]

    assert widths(MLP(3, [], 2)) == [64, 64]
    assert widths(MLP(3, [], 2, hidden=[7, 5, 3])) == [7, 5, 3]
    assert widths(MLP(3, [], 2, hidden=[])) == []
    assert MLP(3, [], 2, hidden=[])(torch.randn(4, 3), torch.zeros(4, 0).long()).shape == (4, 2)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "tanh"])
def test_activations(activation: str) -> None:
    net = MLP(1, [], 1, hidden=[4], activation=activation)  # type: ignore[arg-type]
    function = {
        "relu": torch.relu,
        "gelu": nn.functional.gelu,
        "silu": nn.functional.silu,
        "tanh": torch.tanh,
    }[activation]
    x = torch.linspace(-2, 2, 9)[:, None]
    layer = net.get_submodule("layers.0")
    torch.testing.assert_close(net(x, torch.zeros(9, 0).long()), net.head(function(layer(x))))
