"""Parameter groups: each trainable parameter in exactly one, by kind and by rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gdlightning.errors import UserError
from gdlightning.optimizers.groups import Grouping, Rule, group, kinds, layer_factors

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(3, 3),
    "norm": lambda: nn.LayerNorm(3),
    "words": lambda: nn.Embedding(5, 3),
    "conv": lambda: nn.Conv1d(3, 3, 1),
    "batch": lambda: nn.BatchNorm1d(3),
    "bare": lambda: nn.ParameterList([torch.zeros(3)]),
}


@given(
    layers=st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=6),
    freeze=st.booleans(),
    decay=st.sampled_from([0.5, 1.0]),
    rule=st.booleans(),
)
def test_each_parameter_is_in_exactly_one_group(
    layers: list[str], freeze: bool, decay: float, rule: bool
) -> None:
    module = nn.Sequential(nn.Linear(3, 3), *(LAYERS[k]() for k in layers))
    rules = [Rule("0.*", lr=0.5, weight_decay=0.0)] if rule else []
    made = group(module, Grouping(rules, ["0.bias"] if freeze else [], decay), 0.1)
    found = [p for g in made for p in g.params]
    wanted = [p for p in module.parameters() if p.requires_grad]
    assert len(found) == len(wanted) == len({id(p) for p in found})
    assert {id(p) for p in found} == {id(p) for p in wanted}
    assert module[0].bias.requires_grad is not freeze
    for g in made:
        assert (g.weight_decay == 0.1) == (g.kind in ("matrix", "output") and g.lr is None)


class Tied(nn.Module):
    """Module with an embedding that is tied to the output."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.hidden = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)
        self.head = nn.Linear(3, 5)
        self.head.weight = self.words.weight


def test_kinds_and_tied_weights() -> None:
    assert kinds(Tied()) == {
        "words.weight": "embedding",
        "hidden.weight": "matrix",
        "hidden.bias": "vector",
        "norm.weight": "vector",
        "norm.bias": "vector",
        "head.bias": "vector",
    }
    assert sum(len(g.params) for g in group(Tied(), Grouping(), 0.1)) == 6


def test_rules_lr_decay_and_freeze() -> None:
    module = Tied()
    rules = [Rule("norm.*", freeze=True), Rule("hidden.weight", lr=0.3, weight_decay=0.7)]
    made = {n: g for g in group(module, Grouping(rules), 0.1) for n in g.names}
    assert "norm.weight" not in made
    assert not module.norm.weight.requires_grad
    assert (made["hidden.weight"].lr, made["hidden.weight"].weight_decay) == (0.3, 0.7)
    assert (made["hidden.bias"].lr, made["hidden.bias"].weight_decay) == (None, 0.0)


def test_pattern_without_a_match_is_an_error() -> None:
    with pytest.raises(UserError, match=r"hiden\.\* matches no parameter"):
        group(Tied(), Grouping(freeze=["hiden.*"]), None)
    with pytest.raises(UserError, match="No trainable parameters"):
        group(Tied(), Grouping(freeze=["*"]), None)


def test_layer_decay_lowers_the_rate_per_layer() -> None:
    names = ["words.weight", "blocks.0.weight", "blocks.0.bias", "blocks.1.weight", "head.weight"]
    assert layer_factors(names, 0.5) == {
        "words.weight": 0.125,
        "blocks.0.weight": 0.25,
        "blocks.0.bias": 0.25,
        "blocks.1.weight": 0.5,
        "head.weight": 1.0,
    }
