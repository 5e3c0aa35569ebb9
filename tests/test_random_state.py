"""Random generators are found wherever objects hold them, and continue where they were."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, WeightedRandomSampler

from gdlightning.random_state import (
    find_generators,
    generator_states,
    random_state,
    set_generator_states,
    set_random_state,
)

IN_A_MODULE = np.random.default_rng(5)


class Data:
    """Data set with a generator in one of several places."""

    def __init__(self, held: Any = None) -> None:
        self.held = held

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, rows: list[int]) -> list[int]:
        return rows


def numbers(generator: Any) -> list[float]:
    if isinstance(generator, torch.Generator):
        return torch.rand(3, generator=generator).tolist()
    return (
        [float(generator.random()) for _ in range(3)]
        if not isinstance(generator, np.random.RandomState)
        else generator.rand(3).tolist()
    )


GENERATORS: dict[str, Callable[[], Any]] = {
    "torch": lambda: torch.Generator().manual_seed(1),
    "random.Random": lambda: random.Random(1),
    "RandomState": lambda: np.random.RandomState(1),
    **{
        name: functools.partial(lambda n: np.random.Generator(getattr(np.random, n)(1)), name)
        for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
    },
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generator_continues_from_a_file(name: str, tmp_path: Path) -> None:
    found = find_generators({"data": Data([{"deep": GENERATORS[name]()}])})
    assert "data.held[0]['deep']" in found
    torch.save(generator_states(found), tmp_path / "state")
    wanted = numbers(found["data.held[0]['deep']"])
    again = find_generators({"data": Data([{"deep": GENERATORS[name]()}])})
    state = torch.load(tmp_path / "state", weights_only=True)
    assert set_generator_states(again, state) == []
    assert numbers(again["data.held[0]['deep']"]) == wanted


def places() -> dict[str, tuple[Any, str]]:
    """Object with a generator, and the path to find, by place."""
    g = torch.Generator()
    weighted = WeightedRandomSampler([1.0, 2.0], 2, generator=g)
    return {
        "loader": (DataLoader(Data(), generator=g), "x.generator"),  # type: ignore[arg-type]
        "sampler": (DataLoader(Data(), sampler=weighted), "x.sampler.generator"),  # type: ignore[arg-type]
        "data set": (DataLoader(Data(g)), "x.dataset.held"),  # type: ignore[arg-type]
        "closure": (DataLoader(Data(), collate_fn=lambda rows: (g, rows)), "x.collate_fn.g"),  # type: ignore[arg-type]
        "bound method": (Data(Data(g).collate), "x.held.__self__.held"),
        "partial": (Data(functools.partial(print, end=g)), "x.held.keywords['end']"),
        "default": (Data(_with_default(g)), "x.held.__defaults__[0]"),
        "module": (torch.nn.Sequential(_layer(g)), "x._modules['0'].noise"),
    }


def _with_default(g: torch.Generator) -> Callable[..., Any]:
    def transform(x: Any, generator: torch.Generator = g) -> Any:
        return x

    return transform


def _layer(g: torch.Generator) -> torch.nn.Module:
    layer = torch.nn.Linear(1, 1)
    layer.noise = g  # type: ignore[assignment]
    return layer


@pytest.mark.parametrize("place", places())
def test_it_is_found_where_people_hold_it(place: str) -> None:
    owner, path = places()[place]
    assert path in find_generators({"x": owner})


def test_globals_of_the_users_module_are_found_and_the_process_own_are_not() -> None:
    found = find_generators({"x": Data(np.random.mtrand._rand)})
    assert list(found.values()) == [IN_A_MODULE]


def test_generators_that_only_one_run_has_are_named() -> None:
    found = find_generators({"data": Data(random.Random(1))})
    held = next(path for path in found if path.startswith("data.held"))
    states = generator_states(found)
    assert set_generator_states({}, states) == sorted(states)
    del states[held]
    assert set_generator_states(found, states) == [held]


def test_the_state_of_the_process_is_restored() -> None:
    state = random_state()
    wanted = random.random(), np.random.rand(), torch.rand(1).item()
    set_random_state(state)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == wanted
