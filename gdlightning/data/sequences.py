"""Classification of series; batches are ``((steps, lengths), classes)``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gdlightning.data.data_module import DataModule, Splits
from gdlightning.data.digits import digits
from gdlightning.data.example_input import Input, some_series
from gdlightning.data.loader import Rows, Subset, split
from gdlightning.data.tables import class_labels, column, read_table
from gdlightning.data.tsfile import read_ts
from gdlightning.errors import UserError

__all__ = ["SequenceTable", "SklearnSequences", "TsFile"]


class Series:
    """Series of different lengths, padded with zeros to the longest one in a batch.

    Args:
        series: The series, float64 of shape [T, C] each to keep the precision of large numbers
            until they are scaled. Missing values are NaN.
        classes: The class of each series, int64 of shape [N], or None if unknown.
        labels: The name of each series, for predictions.
    """

    def __init__(
        self,
        series: Sequence[Tensor],
        classes: Tensor | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.series, self.classes, self.labels = series, classes, labels
        self.lengths = torch.tensor([len(s) for s in series])
        self.mean, self.std = torch.zeros(1), torch.ones(1)

    def __len__(self) -> int:
        return len(self.series)

    def scale(self, fitted: dict[str, Any]) -> Series:
        """Set the mean and standard deviation per channel."""
        self.mean = torch.tensor(fitted["mean"], dtype=torch.float64)
        self.std = torch.tensor(fitted["std"], dtype=torch.float64)
        return self

    def take(self, index: Tensor) -> Any:
        """Return steps [B, T, C], lengths [B] and, if known, classes [B].

        Missing values are replaced by the mean of the channel.
        """
        chosen = [((self.series[k] - self.mean) / self.std).nan_to_num(0.0) for k in index.tolist()]
        steps = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True).float()
        inputs = (steps, self.lengths[index])
        return (inputs,) if self.classes is None else (inputs, self.classes[index])


class Sequences(DataModule):
    """Base class for classification of series, standardized per channel."""

    @abstractmethod
    def series(self) -> tuple[Series, list[str]]:
        """Return all series with their classes, and the class names."""

    def load(self) -> Splits:
        """Split the series stratified by class, and fit the scaling on the training split."""
        found, classes = self.series()
        parts = split(len(found), self.fractions, self.seed, found.classes)
        return self.fit(found, classes, dict(zip(("train", "val", "test"), parts, strict=True)))

    def fit(self, found: Series, classes: list[str], parts: dict[str, Tensor]) -> Splits:
        """Fit the scaling on the training steps and return the splits."""
        steps = torch.cat([found.series[k] for k in parts["train"].tolist()])
        mean = steps.nanmean(dim=0)
        std = (steps - mean).square().nanmean(dim=0).sqrt()
        self.fitted = {
            "classes": classes,
            "mean": mean.nan_to_num().tolist(),
            "std": torch.where(std > 1e-8 * (1 + mean.abs()), std, 1.0).tolist(),
        }
        found.scale(self.fitted)
        return {name: Subset(found, index) for name, index in parts.items()}

    def sizes(self) -> dict[str, Any]:
        """Return the channels and outputs of the net, and the class names."""
        classes = self.fitted["classes"]
        return {"channels": len(self.fitted["mean"]), "outputs": len(classes), "classes": classes}

    def example(self, count: int) -> tuple[Input, ...]:
        """Return synthetic series [B, T, C] and lengths [B]."""
        return some_series(count, len(self.fitted["mean"]))


class SklearnSequences(Sequences):
    """scikit-learn's digits as series of rows: 1,797 series of 8 steps with 8 channels.

    Args:
        dataset: digits.
    """

    def __init__(self, dataset: Literal["digits"] = "digits", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def series(self) -> tuple[Series, list[str]]:
        """Return the images as series. Each row of pixels is a step."""
        images, classes = digits()
        return Series(list(images), classes), list("0123456789")


class SequenceTable(Sequences):
    """Your own series from a table with a row per step.

    Args:
        path: a .csv, .tsv, .parquet or .jsonl file.
        id: the column that identifies the series.
        target: the column with the class, the same in all rows of a series.
        time: the column to sort the steps by; by default, the order of the file is used.
        columns: the channels; by default, all other columns.
    """

    def __init__(
        self,
        path: str,
        id: str,
        target: str,
        time: str | None = None,
        columns: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.id, self.target, self.time, self.columns = path, id, target, time, columns

    def series(self) -> tuple[Series, list[str]]:
        """Read the series of the file, sorted by id."""
        frame = read_table(self.path)
        column(frame, self.target, "data.target", self.path)
        channels = self._channels(frame, self.path)
        pieces = self._pieces(frame, channels, self.path)
        several = [k for k, part in pieces if part[self.target].nunique(dropna=False) > 1]
        if several:
            raise UserError(
                f"data.target: the series {several[0]} of {self.path} has more than one "
                f"{self.target}; each series must have one class.",
                key="data.target",
            )
        import pandas as pd

        values = pd.Series([p[self.target].iloc[0] for _, p in pieces], name=self.target)
        classes, numbers = class_labels(values, "data.target", self.path)
        return Series(self._tensors(pieces, channels, self.path), torch.tensor(numbers)), classes

    def load(self) -> Splits:
        """Load the data, and store the channels for ``read``."""
        splits = super().load()
        self.fitted["channels"] = self._channels(read_table(self.path), self.path)
        return splits

    def read(self, source: Path) -> Rows:
        """Read series from a table with the same columns. The target column is optional."""
        frame = read_table(source, "--input")
        channels = self.fitted["channels"]
        for name in channels:
            column(frame, name, "--input", source)
        pieces = self._pieces(frame, channels, source)
        labels = [str(k) for k, _ in pieces]
        return Series(self._tensors(pieces, channels, source), labels=labels).scale(self.fitted)

    def _channels(self, frame: Any, path: str) -> list[str]:
        for name in self.columns or ():
            column(frame, name, "data.columns", path)
        other = [c for c in frame.columns if c not in (self.id, self.target, self.time)]
        return self.columns or other

    def _pieces(self, frame: Any, channels: list[str], path: str | Path) -> list[tuple[Any, Any]]:
        unnamed = int(column(frame, self.id, "data.id", path).isna().sum())
        if unnamed:
            raise UserError(
                f"data.id: {unnamed} of {len(frame)} rows of {path} have no {self.id}.",
                key="data.id",
            )
        if self.time is not None:
            column(frame, self.time, "data.time", path)
            frame = frame.sort_values(self.time, kind="stable")
        if not channels:
            raise UserError(
                f"{path} has no columns other than id, time and target.", key="data.path"
            )
        return list(frame.groupby(self.id, sort=True))

    @staticmethod
    def _tensors(
        pieces: list[tuple[Any, Any]], channels: list[str], path: str | Path
    ) -> list[Tensor]:
        import pandas as pd

        found = []
        for key, part in pieces:
            for name in channels:
                if not pd.api.types.is_numeric_dtype(part[name]):
                    raise UserError(
                        f"data.columns: {name} of {path} is not numeric (series {key}).\n"
                        "List the channels: data.columns: [a, b].",
                        key="data.columns",
                    )
            steps = torch.from_numpy(part[channels].to_numpy("float64", na_value=float("nan")))
            if torch.isinf(steps).any():
                raise UserError(f"The series {key} of {path} has infinite values.", key="data.path")
            found.append(steps)
        return found


class TsFile(Sequences):
    """Series from a ``.ts`` file of the UCR and UEA archives (timeseriesclassification.com).

    Args:
        path: the file, such as NAME_TRAIN.ts.
        test_path: the test file, such as NAME_TEST.ts; by default, the test split is part of
            ``path``.
    """

    def __init__(self, path: str, test_path: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path, self.test_path = path, test_path

    def series(self) -> tuple[Series, list[str]]:
        """Read the series of ``path``."""
        found, labels = read_ts(self.path, "data.path")
        if labels is None:
            raise UserError(
                f"data.path: {self.path} has no class labels (@classLabel true).", key="data.path"
            )
        classes = sorted(set(labels))
        if len(classes) < 2:
            raise UserError(
                f"data.path: {self.path} has only one class; two or more are needed.",
                key="data.path",
            )
        return Series(found, torch.tensor([classes.index(c) for c in labels])), classes

    def load(self) -> Splits:
        """Load the data. If there is a test file, it is the test split."""
        if self.test_path is None:
            return super().load()
        found, classes = self.series()
        tests, labels = read_ts(self.test_path, "data.test_path", len(found.series[0][0]))
        if labels is None or set(labels) - set(classes):
            raise UserError(
                f"data.test_path: {self.test_path} has other classes than {self.path}.",
                key="data.test_path",
            )
        fractions = (1 - self.val_fraction, self.val_fraction)
        train, val = split(len(found), fractions, self.seed, found.classes)
        splits = self.fit(found, classes, {"train": train, "val": val})
        test = Series(tests, torch.tensor([classes.index(c) for c in labels])).scale(self.fitted)
        return splits | {"test": test}

    def read(self, source: Path) -> Rows:
        """Read the series of another .ts file."""
        found, _ = read_ts(str(source), "--input", len(self.fitted["mean"]))
        return Series(found).scale(self.fitted)
