"""Forecasting; batches are ``((past, lengths, scale), future)``."""

from __future__ import annotations

import math
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gdlightning.data.data_module import DataModule, Splits
from gdlightning.data.example_input import Input, some_series
from gdlightning.data.loader import Rows
from gdlightning.data.tables import column, read_table
from gdlightning.errors import UserError

__all__ = ["ForecastTable", "SampleSeries"]

MIN_CONTEXT = 2
"""Minimum number of past steps of a window at the start of a series."""


class Futures:
    """Windows of several series with up to ``context`` past and ``horizon`` future steps.

    Args:
        series: The series in original units, float64 of shape [T] each.
        windows: The index of the series and the first future step of each window.
        context: The maximum number of past steps.
        horizon: The number of future steps. A window at the end of a series has no known ones.
        log: If True, the net sees logarithms.
        labels: The name of each window, for predictions.
    """

    def __init__(
        self,
        series: list[Tensor],
        windows: list[tuple[int, int]],
        context: int,
        horizon: int,
        log: bool,
        labels: list[str] | None = None,
    ) -> None:
        self.series, self.windows, self.labels = series, windows, labels
        self.context, self.horizon, self.log = context, horizon, log

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, index: Tensor) -> Any:
        """Return the windows at ``index``.

        Returns:
            The inputs and, if it is known, the future [B, horizon] in original units. The inputs
            are the past [B, T, 1], standardized per window, the lengths [B], and the scale [B, 3]:
            mean, standard deviation and 1 if logarithms were taken.
        """
        pasts, scales, futures = [], [], []
        for k in index.tolist():
            number, start = self.windows[k]
            past = self.series[number][max(0, start - self.context) : start]
            past = past.log() if self.log else past
            mean, std = past.mean(), past.std(correction=0)
            std = std if std > 1e-9 else torch.ones(())
            pasts.append(((past - mean) / std).float()[:, None])
            scales.append([float(mean), float(std), float(self.log)])
            futures.append(self.series[number][start : start + self.horizon].float())
        lengths = torch.tensor([len(p) for p in pasts])
        steps = torch.nn.utils.rnn.pad_sequence(pasts, batch_first=True)
        inputs = (steps, lengths, torch.tensor(scales))
        known = all(len(f) == self.horizon for f in futures)
        return (inputs, torch.stack(futures)) if known else (inputs,)


class Forecast(DataModule):
    """Base class for forecasting. The ends of the series are held out.

    Args:
        context: past steps that the model sees.
        horizon: future steps that the model predicts.
        log: if true, use logarithms, for series with exponential growth.
    """

    def __init__(
        self, context: int = 36, horizon: int = 12, log: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for key, value, low in (("context", context, MIN_CONTEXT), ("horizon", horizon, 1)):
            if value < low:
                raise UserError(f"data.{key} is {value}; write {low} or more.", key=f"data.{key}")
        self.context, self.horizon, self.log = context, horizon, log

    @abstractmethod
    def series(self) -> dict[str, Tensor]:
        """Name → values in the order of time, float64 [T]."""

    def load(self) -> Splits:
        """Split the windows in time order by their future: training, validation, test.

        A held-out split has at least ``horizon`` steps of each series.
        """
        found = self.checked(self.series(), "the data")
        self.fitted = {"context": self.context, "horizon": self.horizon, "log": self.log}
        windows: dict[str, list[tuple[int, int]]] = {"train": [], "val": [], "test": []}
        for number, values in enumerate(found.values()):
            count = len(values)
            test, val = (self._held_out(count, f) for f in (self.test_fraction, self.val_fraction))
            ends = {"train": count - val - test, "val": count - test, "test": count}
            first = min(self.context, max(MIN_CONTEXT, count - val - test - self.horizon))
            for name, end in ends.items():
                last = end - self.horizon
                windows[name] += [(number, k) for k in range(first, last + 1)]
                first = max(first, end)
        if not windows["train"]:
            longest = max(map(len, found.values()))
            raise UserError(
                f"The longest series has {longest} steps, too few for data.horizon {self.horizon} "
                f"and the held-out splits.\nUse longer series or a smaller data.horizon.",
                key=("data.horizon", "data.path"),
            )
        series = list(found.values())
        return {
            name: Futures(series, w, self.context, self.horizon, self.log)
            for name, w in windows.items()
        }

    def _held_out(self, count: int, fraction: float) -> int:
        """Return the number of steps of a held-out split, at least ``horizon``."""
        return max(round(count * fraction), self.horizon) if fraction else 0

    def checked(self, found: dict[str, Tensor], source: str | Path) -> dict[str, Tensor]:
        """Check the values of series and return the series.

        Raises:
            UserError: If a value is missing or infinite, or not positive with ``log``.
        """
        for name, values in found.items():
            bad = (~torch.isfinite(values)).nonzero().flatten()
            if len(bad):
                raise UserError(
                    f"The series {name} of {source} has no finite value at step {int(bad[0]) + 1}.",
                    key="data.path",
                )
            if self.log and (values <= 0).any():
                raise UserError(
                    f"data.log: the series {name} of {source} has non-positive values.\n"
                    "Set data.log: false.",
                    key="data.log",
                )
        return found

    def sizes(self) -> dict[str, Any]:
        """Return the number of channels and outputs of the net."""
        return {"channels": 1, "outputs": self.fitted["horizon"]}

    def example(self, count: int) -> tuple[Input, ...]:
        """Return synthetic pasts [B, T, 1], lengths [B] and scales [B, 3]."""
        scale = Input("scale", torch.ones(count, 3), {0: "batch"})
        return *some_series(count, 1), scale

    def continued(self, found: dict[str, Tensor]) -> Rows:
        """Return a window at the end of each series, for prediction."""
        context, horizon, log = (self.fitted[k] for k in ("context", "horizon", "log"))
        ends = [(k, len(v)) for k, v in enumerate(found.values())]
        return Futures(list(found.values()), ends, context, horizon, log, labels=list(found))


class ForecastTable(Forecast):
    """Your own series from a table with a row per step.

    Args:
        path: a .csv, .tsv, .parquet or .jsonl file.
        target: the column with the values.
        time: the column to sort the steps by; by default, the order of the file is used.
        id: the column that identifies the series; by default, all rows belong to one series.
    """

    def __init__(
        self, path: str, target: str, time: str | None = None, id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.target, self.time, self.id = path, target, time, id

    def series(self) -> dict[str, Tensor]:
        """Read the series of the file."""
        return self._read(self.path, "data.path")

    def read(self, source: Path) -> Rows:
        """Read the series of another table, to predict the steps after their ends."""
        return self.continued(self.checked(self._read(source, "--input"), source))

    def _read(self, path: str | Path, key: str) -> dict[str, Tensor]:
        import pandas as pd

        frame = read_table(path, key)
        values = column(frame, self.target, "data.target", path)
        if not pd.api.types.is_numeric_dtype(values):
            raise UserError(
                f"data.target: {self.target} of {path} is not numeric.", key="data.target"
            )
        if self.time is not None:
            column(frame, self.time, "data.time", path)
            frame = frame.sort_values(self.time, kind="stable")
        if self.id is None:
            return {self.target: _tensor(frame[self.target])}
        unnamed = int(column(frame, self.id, "data.id", path).isna().sum())
        if unnamed:
            raise UserError(
                f"data.id: {unnamed} of {len(frame)} rows of {path} have no {self.id}.",
                key="data.id",
            )
        return {str(k): _tensor(part[self.target]) for k, part in frame.groupby(self.id)}


class SampleSeries(Forecast):
    """Sample series included in gdlightning.

    Args:
        dataset: air_passengers: international airline passengers, monthly totals in thousands,
            1949 to 1960 (Box and Jenkins 1976, series G).
    """

    def __init__(
        self, dataset: Literal["air_passengers"] = "air_passengers", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset

    def series(self) -> dict[str, Tensor]:
        """Read the sample series."""
        path = Path(__file__).parent / "samples" / f"{self.dataset}.csv"
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        values = [float(line.split(",")[1]) for line in lines]
        return {self.dataset: torch.tensor(values, dtype=torch.float64)}

    def read(self, source: Path) -> Rows:
        """Read the last column of another table."""
        frame = read_table(source, "--input")
        name = str(frame.columns[-1])
        if frame[name].dtype.kind not in "iuf":
            raise UserError(f"--input: {name}, the last column of {source}, is not numeric.")
        return self.continued(self.checked({name: _tensor(frame[name])}, source))


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values.to_numpy("float64", na_value=math.nan))
