"""Dropout is active in training and inactive in evaluation, in every net that has it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import nn

from gdlightning.discovery import Catalogue

NETS = Catalogue("gdlightning.nets", "net", base="torch.nn:Module").classes()
TABLE = (torch.randn(4, 3), torch.ones(4, 1, dtype=torch.int64))
SERIES = (torch.randn(4, 5, 2), torch.tensor([5, 4, 3, 5]))
CASES: dict[str, tuple[dict[str, Any], tuple[torch.Tensor, ...]]] = {
    "mlp": ({"numeric": 3, "cardinalities": [2], "outputs": 2}, TABLE),
    "residual-mlp": ({"numeric": 3, "cardinalities": [2], "outputs": 2}, TABLE),
    "recurrent": ({"channels": 2, "outputs": 2, "depth": 2}, SERIES),
    "temporal-convolution": ({"channels": 2, "outputs": 2}, SERIES),
    "transformer-encoder": ({"channels": 2, "outputs": 2}, SERIES),
    "resnet": ({"channels": 1, "outputs": 2}, (torch.randn(4, 1, 8, 8),)),
    "vit": ({"channels": 1, "outputs": 2}, (torch.randn(4, 1, 8, 8),)),
    "gpt": ({"vocab_size": 9}, (torch.arange(8).reshape(2, 4),)),
}


def test_every_net_with_dropout_is_tried() -> None:
    having = {n for n, cls in NETS.items() if "dropout" in inspect.signature(cls).parameters}
    assert having == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_on_in_training_off_in_evaluation(name: str) -> None:
    options, inputs = CASES[name]
    torch.manual_seed(0)
    net: nn.Module = NETS[name](dropout=0.5, **options)
    net.train()
    net(*inputs)  # updates the running statistics of batch norm
    assert not torch.equal(net(*inputs), net(*inputs))
    net.eval()
    assert torch.equal(net(*inputs), net(*inputs))
    torch.manual_seed(0)
    plain: nn.Module = NETS[name](dropout=0.0, **options)
    plain.load_state_dict(net.state_dict())
    plain.eval()
    torch.testing.assert_close(net(*inputs), plain(*inputs))
