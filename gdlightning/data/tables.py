"""Read tables: CSV, TSV, Parquet and JSON Lines."""

from __future__ import annotations

from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

from gdlightning.errors import UserError, did_you_mean, require

if TYPE_CHECKING:
    import pandas as pd

READERS = (".csv", ".tsv", ".parquet", ".pq", ".jsonl")


def read_table(path: str | Path, key: str = "data.path") -> pd.DataFrame:
    """Read a table. The file suffix determines the format.

    Args:
        path: The file.
        key: The key of the path in error messages.

    Raises:
        UserError: If the file is missing, not supported, empty or cannot be parsed.
    """
    require("pandas", "data", "Reading tables")
    import pandas as pd

    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in READERS:
        raise UserError(
            f"{key}: the format of {path} is not supported; use {', '.join(READERS)}.", key=key
        )
    if not file.is_file():
        near = [str(p) for p in file.parent.glob(f"*{suffix}")] if file.parent.is_dir() else []
        raise UserError(f"{key}: there is no file {path}.{did_you_mean(str(path), near)}", key=key)
    try:
        if suffix in (".parquet", ".pq"):
            require("pyarrow", "data", "Reading Parquet")
            frame = pd.read_parquet(file)
        elif suffix == ".jsonl":
            frame = pd.read_json(file, lines=True)
        else:
            frame = pd.read_csv(file, sep="\t" if suffix == ".tsv" else ",")
    except UserError:
        raise
    except Exception as error:  # parsers raise different errors
        first = str(error).strip().split("\n")[0]
        raise UserError(f"{key}: {path} cannot be read: {first}", key=key) from error
    if frame.empty:
        raise UserError(f"{key}: {path} has no rows.", key=key)
    frame.columns = [str(c) for c in frame.columns]
    return frame


def column(frame: pd.DataFrame, name: str, key: str, path: str | Path) -> pd.Series:
    """Return a column by name.

    Raises:
        UserError: If there is no such column. The message suggests similar names.
    """
    if name not in frame.columns:
        raise UserError(
            f"{key}: {path} has no column {name}.{did_you_mean(name, frame.columns)}\n"
            f"Its columns: {', '.join(frame.columns[:12])}{', …' if frame.shape[1] > 12 else ''}",
            key=key,
        )
    return frame[name]


def class_labels(values: pd.Series, key: str, path: str | Path) -> tuple[list[str], list[int]]:
    """Return the sorted class names and the class index of each row.

    Raises:
        UserError: If a row has no class or all rows have the same one.
    """
    missing = int(values.isna().sum())
    if missing:
        raise UserError(
            f"{key}: {missing} of {len(values)} rows of {path} have no {values.name}.", key=key
        )
    names = sorted({text_of(v) for v in values}, key=_natural)
    if len(names) < 2:
        raise UserError(
            f"{key}: all rows of {path} have the same {values.name}, {names[0]!r}; "
            "classification needs two or more classes.",
            key=key,
        )
    number = {name: k for k, name in enumerate(names)}
    return names, [number[text_of(v)] for v in values]


def text_of(value: object) -> str:
    """Convert a value to text. Integers that pandas converted to floats are written as integers."""
    whole = isinstance(value, Real) and not isinstance(value, Integral) and float(value) % 1 == 0
    return str(int(float(str(value)))) if whole else str(value)


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)
