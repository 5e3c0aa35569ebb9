"""Windows of series: the future that is held out never leaks into training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gdlightning.data.forecasting import Forecast, ForecastTable, SampleSeries
from gdlightning.errors import UserError


class Given(Forecast):
    """Series that a test hands over; value t of a series is t, so that values tell the time."""

    def __init__(self, lengths: list[int], **options: Any) -> None:
        super().__init__(**options)
        self.lengths = lengths

    def series(self) -> dict[str, Tensor]:
        return {
            str(k): 1000.0 * k + torch.arange(n, dtype=torch.float64)
            for k, n in enumerate(self.lengths)
        }


def windows(data: Forecast, part: str) -> list[tuple[list[float], list[float]]]:
    """Past and future of each window, in the units of the series."""
    rows = data.rows[part]
    if not len(rows):
        return []
    (past, lengths, scale), future = rows.take(torch.arange(len(rows)))
    own = past[..., 0].double() * scale[:, 1:2] + scale[:, :1]
    return [
        ([round(v) for v in p[:n].tolist()], f.tolist())
        for p, n, f in zip(own, lengths.tolist(), future, strict=True)
    ]


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    context=st.integers(2, 12),
    horizon=st.integers(1, 6),
    val=st.sampled_from([0.0, 0.1, 0.3]),
    test=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_no_window_of_training_sees_what_is_held_out(
    lengths: list[int], context: int, horizon: int, val: float, test: float
) -> None:
    data = Given(lengths, context=context, horizon=horizon, val_fraction=val, test_fraction=test)
    try:
        data.setup()
    except UserError:
        held = sum(max(round(max(lengths) * f), horizon) for f in (val, test) if f)
        assert max(lengths) - held - horizon < 2  # too short for one window
        return
    found = {part: windows(data, part) for part in ("train", "val", "test")}
    for part in found.values():
        for past, future in part:
            assert 2 <= len(past) <= context
            assert len(future) == horizon
            steps = [*past, *future]  # they follow each other without a gap, of one series
            assert steps == list(range(int(steps[0]), int(steps[0]) + len(steps)))
    for k, length in enumerate(lengths):
        own = {part: [w for w in ws if w[0][0] // 1000 == k] for part, ws in found.items()}
        futures = {part: {v - 1000 * k for _, f in ws for v in f} for part, ws in own.items()}
        seen = {v - 1000 * k for past, future in own["train"] for v in [*past, *future]}
        assert not seen & (futures["val"] | futures["test"])
        assert not futures["val"] & futures["test"]
        if seen and test:
            held = max(round(length * test), horizon)
            assert futures["test"] == set(range(length - held, length))
    assert (len(found["val"]) > 0) == (val > 0)
    assert (len(found["test"]) > 0) == (test > 0)


def test_a_window_is_scaled_by_its_own_past(tmp_path: Path) -> None:
    values = np.exp(np.random.default_rng(0).normal(size=80))
    pd.DataFrame({"y": values}).to_csv(tmp_path / "f.csv", index=False)
    for log in (False, True):
        data = ForecastTable(str(tmp_path / "f.csv"), "y", context=8, horizon=3, log=log)
        data.setup()
        (past, lengths, scale), future = data.rows["train"].take(torch.tensor([4]))
        raw = values[4:12]
        own = np.log(raw) if log else raw
        assert lengths.tolist() == [8]
        np.testing.assert_allclose(past[0, :, 0], (own - own.mean()) / own.std(), rtol=1e-4)
        np.testing.assert_allclose(scale[0], [own.mean(), own.std(), float(log)], rtol=1e-6)
        np.testing.assert_allclose(future[0], values[12:15], rtol=1e-6)


def test_a_constant_past_has_deviation_1() -> None:
    data = Given([40], context=5, horizon=2)
    data.series = lambda: {"flat": torch.full((40,), 7.0, dtype=torch.float64)}  # type: ignore[method-assign]
    data.setup()
    (past, _, scale), _ = data.rows["train"].take(torch.tensor([0]))
    assert not past.any()
    assert scale[0].tolist() == [7, 1, 0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_with_several_series_in_any_order(suffix: str, tmp_path: Path) -> None:
    frame = (
        pd.DataFrame(
            {
                "id": ["a"] * 30 + ["b"] * 25,
                "t": [*range(30), *range(25)],
                "y": [*range(30), *range(100, 125)],
            }
        )
        .sample(frac=1, random_state=1)
        .astype({"y": "Int64"})
    )
    path = tmp_path / f"f{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    data = ForecastTable(str(path), "y", time="t", id="id", context=4, horizon=2)
    found = data.series()
    assert {k: v.tolist() for k, v in found.items()} == {
        "a": list(range(30)),
        "b": list(range(100, 125)),
    }
    data.setup()
    fresh = ForecastTable("gone", "y", time="t", id="id")
    fresh.load_state_dict(data.state_dict())
    rows = fresh.read(path)
    ((past, lengths, scale),) = rows.take(torch.arange(2))
    assert rows.labels == ["a", "b"]  # type: ignore[attr-defined]
    assert lengths.tolist() == [4, 4]
    own = past[..., 0] * scale[:, 1:2] + scale[:, :1]
    assert [[round(v) for v in p] for p in own.tolist()] == [[26, 27, 28, 29], [121, 122, 123, 124]]


@pytest.mark.parametrize(
    ("frame", "options", "told"),
    [
        ({"y": [1.0, None, 3.0] * 20}, {}, "no finite value at step 2"),
        ({"y": [1.0, 0.0, 3.0] * 20}, {"log": True}, "non-positive values"),
        ({"y": ["a"] * 60}, {}, "is not numeric"),
        ({"y": [1.0] * 9}, {"horizon": 4}, "The longest series has 9 steps"),
        ({"y": [1.0] * 60}, {"time": "t"}, "has no column t"),
        ({"y": [1.0] * 60, "id": [None, *"a" * 59]}, {"id": "id"}, "1 of 60 rows"),
    ],
)
def test_tables_that_cant_be_used(
    frame: dict[str, Any], options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    pd.DataFrame(frame).to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(UserError, match=told):
        ForecastTable(str(tmp_path / "f.csv"), "y", **({"horizon": 2} | options)).setup()


@pytest.mark.parametrize(("key", "value"), [("context", 1), ("horizon", 0)])
def test_lengths_that_cant_be_meant(key: str, value: int) -> None:
    options: dict[str, Any] = {key: value}
    with pytest.raises(UserError, match=rf"data\.{key} is {value}"):
        SampleSeries(**options)


def test_the_sample_series_and_another_table_in_its_place(tmp_path: Path) -> None:
    data = SampleSeries(context=24, horizon=12, log=True)
    data.setup()
    (values,) = data.series().values()
    assert (len(values), float(values[0]), float(values[-1])) == (144, 112, 432)
    pd.DataFrame({"t": range(30), "y": range(1, 31)}).to_csv(tmp_path / "n.csv", index=False)
    assert len(data.read(tmp_path / "n.csv")) == 1
    pd.DataFrame({"t": range(3), "y": list("abc")}).to_csv(tmp_path / "n.csv", index=False)
    with pytest.raises(UserError, match="is not numeric"):
        data.read(tmp_path / "n.csv")
