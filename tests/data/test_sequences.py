"""Series with a class: of tables and of .ts files, of unequal lengths, with missing values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gdlightning.data.sequences import SequenceTable, SklearnSequences, TsFile
from gdlightning.data.tsfile import read_ts
from gdlightning.errors import UserError

WHOLE = {"val_fraction": 0.0, "test_fraction": 0.0}


def table(path: Path, big: float = 0.0, count: int = 10) -> str:
    """Series k has 2 + k % 3 steps of two channels, shuffled; one value in each is missing."""
    rows = [
        {
            "id": k,
            "t": t,
            "a": big + 10 * k + t,
            "b": None if t == 0 else float(t * k),
            "kind": "even" if k % 2 == 0 else "odd",
        }
        for k in range(count)
        for t in range(2 + k % 3)
    ]
    pd.DataFrame(rows).sample(frac=1, random_state=0).to_csv(path, index=False)
    return str(path)


def make(path: str, **options: Any) -> SequenceTable:
    """Loaded, ids and times named."""
    data = SequenceTable(path, id="id", target="kind", time="t", **(WHOLE | options))
    data.setup()
    return data


def test_tables(tmp_path: Path) -> None:
    data = make(table(tmp_path / "s.csv"))
    (steps, lengths), classes = data.rows["train"].take(torch.arange(10))
    assert lengths.tolist() == [2 + k % 3 for k in range(10)]
    assert steps.shape == (10, 4, 2)
    assert steps.dtype == torch.float32
    assert classes.tolist() == [k % 2 for k in range(10)]
    assert data.sizes() == {"channels": 2, "outputs": 2, "classes": ["even", "odd"]}
    mean, std = np.array(data.fitted["mean"]), np.array(data.fitted["std"])
    values = [[10 * k + t, t * k if t else np.nan] for k in range(10) for t in range(2 + k % 3)]
    np.testing.assert_allclose(mean, np.nanmean(values, axis=0))
    np.testing.assert_allclose(std, np.nanstd(values, axis=0))
    for k in range(10):
        n = int(lengths[k])
        own = steps[k, :n].double().numpy() * std + mean
        np.testing.assert_allclose(own[:, 0], [10 * k + t for t in range(n)], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(own[1:, 1], [t * k for t in range(1, n)], rtol=1e-5, atol=1e-5)
        assert float(steps[k, 0, 1]) == 0  # missing: at the mean
        assert not steps[k, n:].any()


def test_large_numbers_keep_their_digits(tmp_path: Path) -> None:
    small = make(table(tmp_path / "s.csv"))
    large = make(table(tmp_path / "l.csv", big=1.7e9))  # as timestamps are
    (a, _), _ = small.rows["train"].take(torch.arange(10))
    (b, _), _ = large.rows["train"].take(torch.arange(10))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_series_stay_whole_and_are_scaled_by_those_of_training(tmp_path: Path) -> None:
    path = table(tmp_path / "s.csv", count=40)
    first = make(path, val_fraction=0.25, test_fraction=0.25)
    assert {k: len(v) for k, v in first.rows.items()} == {"train": 20, "val": 10, "test": 10}
    seen = {int(k) for k in first.rows["train"].index}  # type: ignore[attr-defined]
    frame = pd.read_csv(path)
    frame.loc[~frame["id"].isin(seen), "a"] = 1e9
    frame.to_csv(path, index=False)
    assert make(path, val_fraction=0.25, test_fraction=0.25).fitted == first.fitted


def test_new_series_of_a_table(tmp_path: Path) -> None:
    path = table(tmp_path / "s.csv")
    data = make(path, columns=["b", "a"])
    fresh = SequenceTable("gone", id="id", target="kind", time="t")
    fresh.load_state_dict(data.state_dict())
    pd.read_csv(path).drop(columns="kind").to_csv(tmp_path / "n.csv", index=False)
    rows = fresh.read(tmp_path / "n.csv")
    ((steps, lengths),) = rows.take(torch.arange(10))
    (wanted, wanted_lengths), _ = data.rows["train"].take(torch.arange(10))
    assert torch.equal(steps, wanted)
    assert torch.equal(lengths, wanted_lengths)
    assert rows.labels == [str(k) for k in range(10)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.assign(kind=[str(k % 2) for k in range(len(f))]), "more than one kind"),
        (lambda f: f.assign(kind=None), "have no kind"),
        (lambda f: f.assign(a="x"), "a of .* is not numeric"),
        (lambda f: f.assign(a=np.inf), "infinite values"),
        (lambda f: f.assign(id=[None, *f["id"][1:]]), "rows of .* have no id"),
        (lambda f: f.drop(columns="t"), "has no column t"),
        (lambda f: f.drop(columns=["a", "b"]), "no columns other than"),
    ],
)
def test_tables_that_cant_be_used(change: Any, told: str, tmp_path: Path) -> None:
    path = table(tmp_path / "s.csv")
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(UserError, match=told):
        make(path)


HEAD = "# a comment\n@problemName x\n@univariate false\n@classLabel true up down\n@data\n"
LINES = "1,2,3:5,?,7:up\n4,5:1,1,1:down\n9:9:up\n0,1:1,0:down\n"


def test_ts_files(tmp_path: Path) -> None:
    (tmp_path / "x.ts").write_text(HEAD + LINES)
    series, labels = read_ts(str(tmp_path / "x.ts"), "data.path")
    nan = float("nan")
    assert labels == ["up", "down", "up", "down"]
    wanted = [[[1, 5], [2, nan], [3, 7]], [[4, 1], [5, 1], [nan, 1]], [[9, 9]], [[0, 1], [1, 0]]]
    for s, w in zip(series, wanted, strict=True):
        np.testing.assert_array_equal(s, np.array(w, float))
    data = TsFile(str(tmp_path / "x.ts"), **WHOLE)  # type: ignore[arg-type]
    data.setup()
    (steps, lengths), classes = data.rows["train"].take(torch.arange(4))
    assert torch.isfinite(steps).all()
    assert lengths.tolist() == [3, 3, 1, 2]
    assert classes.tolist() == [1, 0, 1, 0]
    assert len(data.read(tmp_path / "x.ts")) == 4


def test_a_ts_test_file_is_the_test_split(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_text(HEAD + LINES * 5)
    (tmp_path / "b.ts").write_text(HEAD + "100:200:down\n")
    data = TsFile(str(tmp_path / "a.ts"), str(tmp_path / "b.ts"), val_fraction=0.2)
    data.setup()
    assert {k: len(v) for k, v in data.rows.items()} == {"train": 16, "val": 4, "test": 1}
    (steps, _), classes = data.rows["test"].take(torch.tensor([0]))
    assert classes.tolist() == [0]
    expected = [
        (v - m) / s
        for v, m, s in zip((100, 200), data.fitted["mean"], data.fitted["std"], strict=True)
    ]
    assert steps[0, 0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2:up\n", "line 1: there are values before @data"),
        (HEAD, "contains no series"),
        (HEAD + "1,x:2,3:up\n", "line 6: could not convert"),
        (HEAD + "1:2:up\n1:down\n", "line 7: expected 2 dimensions, got 1"),
        (HEAD + "1,inf:2,3:up\n", "infinite value"),
        (HEAD + "up\n", "line 6 contains no values"),
        (HEAD + "1:2:up\n", "one class"),
        (HEAD.replace("true up down", "false") + "1:2\n", "no class labels"),
    ],
)
def test_ts_files_that_cant_be_used(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "x.ts").write_text(text)
    with pytest.raises(UserError, match=told):
        TsFile(str(tmp_path / "x.ts")).setup()


def test_ts_files_of_other_dimensions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ts").write_text(HEAD + LINES)
    (tmp_path / "y.ts").write_text(HEAD + "1:up\n")
    with pytest.raises(UserError, match="expected 2 dimensions, got 1"):
        TsFile(str(tmp_path / "x.ts"), str(tmp_path / "y.ts")).setup()
    data = TsFile(str(tmp_path / "x.ts"), **WHOLE)  # type: ignore[arg-type]
    data.setup()
    with pytest.raises(UserError, match=r"--input: .* expected 2 dimensions, got 1"):
        data.read(tmp_path / "y.ts")
    with pytest.raises(UserError, match=r"Did you mean .*x\.ts"):
        read_ts(str(tmp_path / "xx.ts"), "data.path")


def test_digits_are_read_row_by_row() -> None:
    from sklearn.datasets import load_digits

    data = SklearnSequences(**WHOLE)  # type: ignore[arg-type]
    data.setup()
    (steps, lengths), classes = data.rows["train"].take(torch.arange(5))
    raw = load_digits()
    restored = steps.double() * torch.tensor(data.fitted["std"]) + torch.tensor(data.fitted["mean"])
    np.testing.assert_allclose(restored, raw.images[:5], atol=1e-4)
    assert lengths.tolist() == [8] * 5
    assert classes.tolist() == raw.target[:5].tolist()
