"""Combined optimizers satisfy the contract."""

from __future__ import annotations

from typing import Any

import pytest

from gdlightning.conformance.capabilities import ALONE
from gdlightning.conformance.conformance_record import seen_of
from gdlightning.conformance.training_check import TrainingCheck, quiet
from gdlightning.optimizers.registry import find

quiet()
SGD = {"lr": 0.1, "momentum": 0.9}
COMPOSED: dict[str, tuple[str, dict[str, Any]]] = {
    "matrices and the rest": ("soap", {"companion": {"name": "adamw", "lr": 1e-3}}),
    "by pattern": (
        "adamw",
        {
            "parts": [
                {"pattern": "levels.*", "name": "adagrad", "lr": 0.05},
                {"pattern": "output.*", "name": "lion", "lr": 1e-3},
            ]
        },
    ),
    "lookahead": ("sgd", SGD | {"wrappers": [{"name": "lookahead", "k": 3}]}),
    "cautious": ("adamw", {"wrappers": ["cautious"]}),
    "centralize": ("sgd", SGD | {"wrappers": ["centralize"]}),
    "wrapped twice": ("adamw", {"wrappers": [{"name": "lookahead", "k": 3}, "cautious"]}),
    "sam": ("sam", {"base": {"name": "adamw", "lr": 1e-3}}),
    "in backward": ("adamw", {"in_backward": True}),
}
REFUSED = {"in backward": {"clipping", "accumulation"}}


@pytest.mark.parametrize("name", COMPOSED)
def test_combination_satisfies_every_clause(name: str) -> None:
    optimizer, options = COMPOSED[name]
    trial = TrainingCheck(find(optimizer), options)
    seen = {clause: found for clause in ALONE if (found := seen_of(trial, clause)) is not None}
    assert set(seen) == REFUSED.get(name, set()), seen
    assert all("in_backward" in found for found in seen.values())
