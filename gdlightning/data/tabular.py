"""Tabular data with numeric and categorical columns and a target."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from gdlightning.data import preprocess
from gdlightning.data.data_module import DataModule, Splits
from gdlightning.data.example_input import Input, some_codes, some_numbers
from gdlightning.data.loader import Rows, TensorRows, split
from gdlightning.data.tables import class_labels, column, read_table
from gdlightning.errors import UserError, require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SklearnTabular", "Tabular"]


class TableModule(DataModule):
    """Base class for tabular data; batches are ``((numeric, codes), target)``."""

    target: str
    categorical: list[str]

    @abstractmethod
    def table(self) -> tuple[pd.DataFrame, bool]:
        """Return the whole table and True if the target is a class."""

    @property
    def source(self) -> str:
        """Name of the table in error messages."""
        return "the data"

    def load(self) -> Splits:
        """Split the rows, fit the preprocessing on the training rows, and apply it to all."""
        frame, classify = self.table()
        target = frame[self.target]
        features = frame.drop(columns=[self.target])
        if features.columns.empty:
            raise UserError(
                f"{self.source} has no column other than the target {self.target}.", key="data.path"
            )
        if classify:
            classes, numbers = class_labels(target, "data.target", self.source)
            y: Tensor = torch.tensor(numbers)
        else:
            classes, y = [], self._numeric(target)
        parts = split(len(frame), self.fractions, self.seed, y if classify else None)
        if len(parts[0]) == 0:
            raise UserError(
                f"{self.source} has {len(frame)} rows: too few to split.", key="data.path"
            )
        train = features.iloc[parts[0].numpy()]
        self.fitted = preprocess.fit(train, self.categorical, self.source)
        self.fitted["classes"] = classes
        if not classify:
            own = y[parts[0]].double()
            mean, std = float(own.mean()), float(own.std(correction=0))
            if preprocess.constant(mean, std):
                raise UserError(
                    f"data.target: {self.target} is the same in all training rows.",
                    key="data.target",
                )
            self.fitted |= {"target_mean": mean, "target_std": std}
        names = ("train", "val", "test")
        rows: Splits = {}
        for name, index in zip(names, parts, strict=True):
            inputs = preprocess.apply(features.iloc[index.numpy()], self.fitted, self.source)
            rows[name] = TensorRows(inputs, y[index])
        return rows

    def sizes(self) -> dict[str, Any]:
        """Return the features and outputs of the net, and the classes or the target's scale."""
        found = preprocess.sizes(self.fitted)
        if self.fitted["classes"]:
            classes = self.fitted["classes"]
            return found | {"outputs": len(classes), "classes": classes}
        scale = {k: self.fitted[k] for k in ("target_mean", "target_std")}
        return found | {"outputs": 1} | scale

    def example(self, count: int) -> tuple[Input, ...]:
        """Return synthetic numeric features [B, F] and codes [B, C]."""
        found = self.sizes()
        levels = [some_codes(c, count) for c in found["cardinalities"]]
        seen = torch.stack(levels, 1) if levels else torch.zeros(count, 0, dtype=torch.int64)
        rows = {0: "batch"}
        return (
            Input("numeric", some_numbers(count, found["numeric"]), rows),
            Input("codes", seen, rows),
        )

    def read(self, source: Any) -> Rows:
        """Return new rows of a file or a data frame; the target column may be missing."""
        if isinstance(source, str | Path):
            table, name = read_table(source, "--input"), source
        else:
            table, name = source.rename(columns=str), "the data frame"
        return TensorRows(preprocess.apply(table, self.fitted, name))

    def _numeric(self, target: pd.Series) -> Tensor:
        import pandas as pd

        numbers = pd.to_numeric(target, errors="coerce").to_numpy("float64", na_value=float("nan"))
        y = torch.tensor(numbers, dtype=torch.float32)
        bad = (~torch.isfinite(y)).nonzero().flatten()
        if len(bad):
            value = target.iloc[int(bad[0])]
            raise UserError(
                f"data.target: {self.target} of {self.source} is {value!r} in row "
                f"{int(bad[0]) + 1}, which is not a finite number ({len(bad)} such rows).\n"
                "For classes, set data.problem: classification and a classification model.",
                key="data.target",
            )
        return y


class Tabular(TableModule):
    """Your own table with a target column.

    Args:
        path: a .csv, .tsv, .parquet or .jsonl file.
        target: the column to predict.
        categorical: numeric columns that contain codes; text columns are detected automatically.
        drop: columns to remove, such as an id.
        problem: classification or regression; auto selects regression for a regression model, and
            otherwise for numbers with more than 20 distinct values or with fractions.
    """

    def __init__(
        self,
        path: str,
        target: str,
        categorical: list[str] | None = None,
        drop: list[str] | None = None,
        problem: Literal["auto", "classification", "regression"] = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.target, self.problem = path, target, problem
        self.categorical, self.drop = categorical or [], drop or []

    @property
    def source(self) -> str:
        """Path of the file."""
        return self.path

    def table(self) -> tuple[pd.DataFrame, bool]:
        """Read the file without the dropped columns."""
        frame = read_table(self.path)
        return select(frame, self.target, self.categorical, self.drop, self.problem, self.path)


def select(
    frame: pd.DataFrame,
    target: str,
    categorical: list[str],
    drop: list[str],
    problem: str,
    source: str,
) -> tuple[pd.DataFrame, bool]:
    """Return a table without the dropped columns, and whether the target is a class.

    Raises:
        UserError: if a column is missing, or the target is dropped.
    """
    values = column(frame, target, "data.target", source)
    for key, names in {"data.categorical": categorical, "data.drop": drop}.items():
        for name in names:
            column(frame, name, key, source)
    if target in drop:
        raise UserError(f"data.drop contains {target}, which is the target. Remove it.")
    classify = is_class(values) if problem == "auto" else problem == "classification"
    return frame.drop(columns=drop), classify


def is_class(values: pd.Series) -> bool:
    """Return whether a target looks like a class: text, or at most 20 different whole numbers."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return True
    known = values.dropna()
    return bool((known % 1 == 0).all()) and known.nunique() <= 20


class SklearnTabular(TableModule):
    """Tables included in scikit-learn.

    Args:
        dataset: breast_cancer (569 rows, 2 classes), wine (178 rows, 3 classes), iris (150 rows,
            3 classes) or diabetes (442 rows, regression).
    """

    def __init__(
        self,
        dataset: Literal["breast_cancer", "wine", "iris", "diabetes"] = "breast_cancer",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dataset, self.target, self.categorical = dataset, "target", []

    @property
    def source(self) -> str:
        """Name of the data set."""
        return self.dataset

    def table(self) -> tuple[pd.DataFrame, bool]:
        """Load the table, with the names of the classes."""
        require("sklearn", "data", f"The data set {self.dataset}")
        require("pandas", "data", f"The data set {self.dataset}")
        from sklearn import datasets

        bunch = getattr(datasets, f"load_{self.dataset}")(as_frame=True)
        frame = bunch.frame
        names = getattr(bunch, "target_names", None)
        if names is not None:
            frame = frame.assign(target=[str(names[k]) for k in bunch.target])
        return frame, names is not None
