"""Splits: seeded, disjoint, complete, every class alike."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.data.loader import split
from gdlightning.data.tabular import SklearnTabular
from gdlightning.errors import UserError

FRACTIONS = st.tuples(st.floats(0, 0.49), st.floats(0, 0.49))


@given(count=st.integers(1, 300), held=FRACTIONS, seed=st.integers(0, 9), data=st.data())
def test_disjoint_complete_and_of_the_size_asked_for(
    count: int, held: tuple[float, float], seed: int, data: st.DataObject
) -> None:
    labels = None
    if data.draw(st.booleans()):
        classes = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
        labels = torch.tensor(classes)
    fractions = (1 - sum(held), *held)
    parts = split(count, fractions, seed, labels)
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(count))
    again = split(count, fractions, seed, labels)
    assert all(torch.equal(a, b) for a, b in zip(parts, again, strict=True))
    groups = [torch.ones(count, dtype=torch.bool)]
    if labels is not None:
        groups = [labels == c for c in labels.unique()]
    for group in groups:  # within a row of what the fraction says
        for part, fraction in zip(parts, fractions, strict=True):
            assert abs(int(group[part].sum()) - fraction * int(group.sum())) <= 1


def test_the_seed_decides() -> None:
    first, second = (split(100, (0.5, 0.5), seed)[0] for seed in (0, 1))
    assert not torch.equal(first, second)


def test_a_data_set_is_split_as_told() -> None:
    data = SklearnTabular(dataset="iris", val_fraction=0.2, test_fraction=0.2, seed=3)
    data.setup()
    assert {k: len(v) for k, v in data.rows.items()} == {"train": 90, "val": 30, "test": 30}
    for part, count in (("train", 30), ("val", 10), ("test", 10)):
        _, classes = data.rows[part].take(torch.arange(len(data.rows[part])))
        assert classes.bincount().tolist() == [count] * 3


@pytest.mark.parametrize(
    ("fractions", "told"),
    [
        ({"val_fraction": 1.0}, "from 0 to below 1"),
        ({"test_fraction": -0.1}, "from 0 to below 1"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "nothing to train on"),
    ],
)
def test_fractions_that_leave_nothing(fractions: dict[str, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        SklearnTabular(**fractions)  # type: ignore[arg-type]
