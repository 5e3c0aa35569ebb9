"""Preprocessing of tables: fitted on training rows alone, good for what comes later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gdlightning.data import preprocess
from gdlightning.data.tabular import SklearnTabular, Tabular
from gdlightning.errors import UserError


def frame() -> pd.DataFrame:
    """Numbers with a missing one, text with a missing one, booleans."""
    return pd.DataFrame(
        {
            "size": [1.0, 2.0, None, 4.0, 8.0],
            "town": ["Ulm", "Bonn", None, "Ulm", "Kiel"],
            "new": [True, False, True, True, False],
        }
    )


def test_numbers_are_standardised_and_missing_ones_told() -> None:
    fitted = preprocess.fit(frame(), [], "t.csv")
    x, codes = preprocess.apply(frame(), fitted, "t.csv")
    filled = np.array([1, 2, 3, 4, 8.0])  # the median of 1, 2, 4, 8 is 3
    np.testing.assert_allclose(x[:, 0], (filled - filled.mean()) / filled.std(), rtol=1e-6)
    assert x[:, 1].tolist() == [0, 0, 1, 0, 0]
    assert codes.tolist() == [[3, 2], [1, 1], [0, 2], [3, 2], [2, 1]]
    assert preprocess.sizes(fitted) == {"numeric": 2, "cardinalities": [4, 3]}


def test_what_training_has_not_seen_is_code_0() -> None:
    fitted = preprocess.fit(frame(), [], "t.csv")
    new = pd.DataFrame({"new": [None, True], "town": ["Rome", "Kiel"], "size": [None, 2.0]})
    x, codes = preprocess.apply(new, fitted, "n.csv")
    assert codes.tolist() == [[0, 0], [2, 2]]
    assert torch.isfinite(x).all()


def test_codes_are_the_same_beside_missing_values() -> None:
    train = pd.DataFrame({"code": [1, 2, None, 3]})  # floats, for the missing one's sake
    fitted = preprocess.fit(train, ["code"], "t.csv")
    _, codes = preprocess.apply(pd.DataFrame({"code": [3, 2, 1]}), fitted, "n.csv")
    assert codes[:, 0].tolist() == [3, 2, 1]


def test_a_constant_column_stays_small_whatever_comes_later() -> None:
    train = pd.DataFrame({"a": [0.1] * 7})  # whose mean is not 0.1 to the last bit
    fitted = preprocess.fit(train, [], "t.csv")
    x, _ = preprocess.apply(pd.DataFrame({"a": [0.1, 0.2]}), fitted, "n.csv")
    assert x[:, 0].tolist() == pytest.approx([0.0, 0.1], abs=1e-6)


@pytest.mark.parametrize(
    ("train", "new", "told"),
    [
        ({"a": [None, None]}, {}, "is empty in the training rows"),
        ({"a": [1.0, np.inf]}, {}, "is infinite in row 2"),
        ({"a": [1.0, 2.0]}, {"b": [1.0]}, "has no column a"),
        ({"a": [1.0, 2.0]}, {"a": ["x"]}, "is not numeric"),
    ],
)
def test_columns_that_cant_be_used(
    train: dict[str, list[object]], new: dict[str, list[object]], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        preprocess.apply(
            pd.DataFrame(new), preprocess.fit(pd.DataFrame(train), [], "t.csv"), "n.csv"
        )


def test_an_outlier_outside_the_training_rows_changes_nothing(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": np.arange(40.0), "b": list("xy") * 20, "y": np.arange(40) % 7 + 0.5})

    def load(changed: pd.DataFrame) -> Tabular:
        path = tmp_path / "t.csv"
        changed.to_csv(path, index=False)
        data = Tabular(str(path), "y", test_fraction=0.25, val_fraction=0.25)
        data.setup()
        return data

    first = load(table)
    known = {float(v) for v in train_values(first)}
    outside = [k for k in range(40) if float(k) not in known]
    assert len(outside) == 20
    spoilt = table.copy()
    spoilt.loc[outside, "a"] = 1e6
    spoilt.loc[outside, "b"] = "z"
    spoilt.loc[outside, "y"] = -1e6
    second = load(spoilt)
    assert second.fitted == first.fitted
    everything = torch.arange(20)
    for a, b in zip(
        flat(first.rows["train"].take(everything)),
        flat(second.rows["train"].take(everything)),
        strict=True,
    ):
        assert torch.equal(a, b)


def train_values(data: Tabular) -> torch.Tensor:
    """Column a of the training rows, in its own units."""
    (x, _), _ = data.rows["train"].take(torch.arange(len(data.rows["train"])))
    scale = data.fitted["numeric"][0]
    values: torch.Tensor = (x[:, 0].double() * scale["std"] + scale["mean"]).round()
    return values


def flat(batch: tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
    return [*batch[0], batch[1]]


def test_sklearns_scaler_agrees() -> None:
    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import StandardScaler

    data = SklearnTabular()
    data.setup()
    (x, _), y = data.rows["train"].take(torch.arange(len(data.rows["train"])))
    raw = load_breast_cancer()
    names = [raw.target_names[k] for k in raw.target]
    classes = data.fitted["classes"]
    means = [c["mean"] for c in data.fitted["numeric"]]
    stds = [c["std"] for c in data.fitted["numeric"]]
    inside = x.double().numpy() * stds + means
    theirs = StandardScaler().fit(inside).transform(inside)
    np.testing.assert_allclose(x, theirs, atol=1e-4)
    first = raw.data[np.abs(raw.data - inside[0]).sum(axis=1).argmin()]
    np.testing.assert_allclose(inside[0], first, rtol=1e-4, atol=1e-5)
    where = np.abs(raw.data - inside[0]).sum(axis=1).argmin()
    assert classes[int(y[0])] == names[where]
