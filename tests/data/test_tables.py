"""Tables of every kind of file, and the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from gdlightning.data.tables import class_labels, read_table, text_of
from gdlightning.data.tabular import Tabular
from gdlightning.errors import UserError


def write(frame: pd.DataFrame, path: Path) -> Path:
    """By its ending."""
    if path.suffix in (".parquet", ".pq"):
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".CSV"])
def test_every_kind_gives_the_same_splits(suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "a": [0.5 * k if k % 4 else None for k in range(40)],
            "b": ["red" if k % 3 else "blue" for k in range(40)],
            "y": ["yes" if k % 2 else "no" for k in range(40)],
        }
    )
    found = []
    for path in (write(frame, tmp_path / "one.csv"), write(frame, tmp_path / f"two{suffix}")):
        data = Tabular(str(path), "y")
        data.setup()
        found.append((data.fitted, data.rows["train"].take(torch.arange(32))))
    (fitted, ((x, codes), y)), (other, ((x2, codes2), y2)) = found
    assert fitted == other
    assert torch.equal(x, x2)
    assert torch.equal(codes, codes2)
    assert torch.equal(y, y2)


def test_new_rows_get_the_numbers_of_training(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(30), "b": list("xyz") * 10, "y": [k * 1.5 for k in range(30)]})
    data = Tabular(str(write(frame, tmp_path / "t.csv")), "y", val_fraction=0, test_fraction=0)
    data.setup()
    sizes = data.sizes()
    assert sizes["outputs"] == 1
    assert sizes["target_mean"] == pytest.approx(frame["y"].mean())
    assert sizes["target_std"] == pytest.approx(frame["y"].std(ddof=0))
    trained, _ = data.rows["train"].take(torch.arange(30))
    fresh = Tabular("gone.csv", "y")  # as predict does: with what the checkpoint keeps
    fresh.load_state_dict(data.state_dict())
    (inputs,) = fresh.read(write(frame.drop(columns="y"), tmp_path / "n.jsonl")).take(
        torch.arange(30)
    )
    assert torch.equal(inputs[0], trained[0])
    assert torch.equal(inputs[1], trained[1])


@pytest.mark.parametrize(
    ("values", "problem", "classes"),
    [
        (["a", "b"] * 10, "auto", ["a", "b"]),
        ([True, False] * 10, "auto", ["False", "True"]),
        ([10, 9] * 10, "auto", ["9", "10"]),
        ([1.0, 2.0] * 10, "auto", ["1", "2"]),
        ([1.5, 2.5] * 10, "auto", []),
        (list(range(21)), "auto", []),
        (list(range(21)), "classification", [str(k) for k in range(21)]),
        ([10, 9] * 10, "regression", []),
    ],
)
def test_what_a_target_is(
    values: list[Any], problem: Any, classes: list[str], tmp_path: Path
) -> None:
    frame = pd.DataFrame({"x": range(len(values)), "y": values})
    data = Tabular(
        str(write(frame, tmp_path / "t.csv")),
        "y",
        problem=problem,
        val_fraction=0.0,
        test_fraction=0.0,
    )
    data.setup()
    assert data.fitted["classes"] == classes
    assert data.sizes()["outputs"] == (len(classes) or 1)


def test_text_of_whole_numbers() -> None:
    import numpy as np

    values = [1, 1.0, np.float32(1), np.int64(1), "1", 1.5, True, float("inf")]
    assert [text_of(v) for v in values] == ["1", "1", "1", "1", "1", "1.5", "True", "inf"]


def test_class_names_are_sorted_as_people_count() -> None:
    names, numbers = class_labels(pd.Series(["10", "9", "b", "10"], name="y"), "data.target", "t")
    assert names == ["9", "10", "b"]
    assert numbers == [1, 0, 2, 1]


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("a,y\n1,2\n", {"target": "z"}, "has no column z"),
        ("a,y\n1,u\n2,u\n", {}, "the same y"),
        ("a,y\n1,u\n2,\n", {}, "1 of 2 rows"),
        ("a,y\n1,2.5\n2,x\n", {"problem": "regression"}, "'x' in row 2"),
        ("a,y\n1,2.5\n2,2.5\n", {"problem": "regression"}, "same in all training rows"),
        ("y\n1.5\n2\n", {}, "no column other than the target"),
        ("a,y\n1,2\n", {"drop": ["y"]}, "which is the target"),
        ("a,y\n1,2\n", {"drop": ["b"]}, "has no column b"),
        ("a,y\n", {}, "has no rows"),
        ("", {}, "cannot be read"),
        ('a,y\n"1,2\n', {}, "cannot be read"),
    ],
)
def test_files_that_cant_be_used(
    text: str, options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=told):
        Tabular(str(path), **({"target": "y"} | options)).setup()


def test_wrong_paths(tmp_path: Path) -> None:
    (tmp_path / "homes.csv").write_text("a\n1\n")
    with pytest.raises(UserError, match=r"Did you mean .*homes\.csv"):
        read_table(tmp_path / "home.csv")
    with pytest.raises(UserError, match=r"format of .* is not supported"):
        read_table(tmp_path / "homes.xls")
    (tmp_path / "latin.csv").write_bytes("stra\xdfe\n1\n".encode("latin-1"))
    with pytest.raises(UserError, match="cannot be read"):
        read_table(tmp_path / "latin.csv")
