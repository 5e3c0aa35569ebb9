"""Preprocessing of tables, fitted on the training rows and stored as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gdlightning.data.tables import column, text_of
from gdlightning.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def fit(train: pd.DataFrame, categorical: list[str], source: str | Path) -> dict[str, Any]:
    """Fit the preprocessing on the training rows.

    In numeric columns, missing values are replaced by the median and the columns are standardized.
    Columns with missing values also get an indicator column. Text, category and boolean columns and
    those in ``categorical`` are converted to codes; missing and unknown values have the code 0.

    Args:
        train: The training rows, without the target.
        categorical: Names of numeric columns that contain codes.
        source: The name of the data in error messages.

    Returns:
        The parameters for ``apply``, as plain values.

    Raises:
        UserError: If a column is empty or has infinite values.
    """
    numeric: list[dict[str, Any]] = []
    codes: list[dict[str, Any]] = []
    for name in train.columns:
        values = train[name]
        if values.isna().all():
            raise UserError(
                f"Column {name} of {source} is empty in the training rows; drop it (data.drop).",
                key="data.path",
            )
        if name in categorical or not _is_numeric(values):
            levels = sorted({text_of(v) for v in values.dropna()})
            codes.append({"name": name, "levels": levels})
            continue
        numbers = _numbers(values, name, source)
        median = float(np.nanmedian(numbers.numpy()))
        filled = numbers.nan_to_num(nan=median)
        mean, std = float(filled.mean()), float(filled.std(correction=0))
        numeric.append(
            {
                "name": name,
                "median": median,
                "mean": mean,
                "std": 1.0 if constant(mean, std) else std,
                "indicator": bool(numbers.isnan().any()),
            }
        )
    return {"numeric": numeric, "categorical": codes}


def apply(frame: pd.DataFrame, fitted: dict[str, Any], source: str | Path) -> tuple[Tensor, Tensor]:
    """Preprocess rows.

    Args:
        frame: The rows.
        fitted: The result of ``fit``.
        source: The name of the data in error messages.

    Returns:
        The numeric features, float32 of shape [N, F], and the codes, int64 of shape [N, C].

    Raises:
        UserError: If a column is missing, not numeric or has infinite values.
    """
    numeric, codes = [], []
    for c in fitted["numeric"]:
        values = column(frame, c["name"], "input", source)
        numbers = _numbers(values, c["name"], source)
        numeric.append((numbers.nan_to_num(nan=c["median"]) - c["mean"]) / c["std"])
        if c["indicator"]:
            numeric.append(numbers.isnan().double())
    for c in fitted["categorical"]:
        values = column(frame, c["name"], "input", source)
        number = {level: k + 1 for k, level in enumerate(c["levels"])}
        missing = values.isna()
        codes.append(
            torch.tensor(
                [
                    0 if m else number.get(text_of(v), 0)
                    for v, m in zip(values, missing, strict=True)
                ]
            )
        )
    rows = len(frame)
    x = torch.stack(numeric, 1).float() if numeric else torch.zeros(rows, 0)
    k = torch.stack(codes, 1) if codes else torch.zeros(rows, 0, dtype=torch.int64)
    return x, k


def constant(mean: float, std: float) -> bool:
    """Return whether a standard deviation is zero up to the rounding error of the mean."""
    return std <= 1e-12 * abs(mean)


def sizes(fitted: dict[str, Any]) -> dict[str, Any]:
    """Return the number of ``numeric`` features and the ``cardinalities`` of the codes."""
    numeric = sum(1 + c["indicator"] for c in fitted["numeric"])
    return {
        "numeric": numeric,
        "cardinalities": [len(c["levels"]) + 1 for c in fitted["categorical"]],
    }


def _is_numeric(values: pd.Series) -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _numbers(values: pd.Series, name: str, source: str | Path) -> Tensor:
    """Convert a column to float64 of shape [N], with NaN for missing values."""
    import pandas as pd

    try:
        numbers = torch.tensor(
            pd.to_numeric(values).to_numpy(dtype="float64", na_value=float("nan"))
        )
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(
            f"Column {name} of {source} is not numeric: {error}", key="data.path"
        ) from error
    infinite = torch.isinf(numbers).nonzero().flatten()
    if len(infinite):
        raise UserError(
            f"Column {name} of {source} is infinite in row {int(infinite[0]) + 1} "
            f"({len(infinite)} in total). Leave such values empty: missing values are imputed.",
            key="data.path",
        )
    return numbers
