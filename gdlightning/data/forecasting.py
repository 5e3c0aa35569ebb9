"""Series to be continued; batches are ``((past, lengths), (future, scale))``."""

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

LEAST = 2
"""Steps of the past that a window has at least, where a series begins."""


class Futures:
    """Windows of several series: up to ``context`` past steps and ``horizon`` future ones.

    Args:
        series: each float64 [T], in the units of the user.
        windows: (number of the series, first future step).
        context: past steps at most.
        horizon: future steps; 0 of them are known where a forecast is wanted.
        log: the net sees logarithms.
        labels: a name for each window; for predictions.
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
        """Past [B, T, 1] in units of the window's own mean and deviation, lengths [B], and so on.

        The inputs are (past, lengths, scale), scale [B, 3] holding mean, deviation and whether
        logarithms were taken; the target is the future [B, horizon] in the units of the user.
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
    """What all sources of series to be continued share: the ends are held out.

    Args:
        context: past steps that the model sees.
        horizon: future steps that it predicts.
        log: work on logarithms, for series that grow by a percentage.
    """

    def __init__(
        self, context: int = 36, horizon: int = 12, log: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for key, value, low in (("context", context, LEAST), ("horizon", horizon, 1)):
            if value < low:
                raise UserError(f"data.{key} is {value}; write {low} or more.", key=f"data.{key}")
        self.context, self.horizon, self.log = context, horizon, log

    @abstractmethod
    def series(self) -> dict[str, Tensor]:
        """Name → values in the order of time, float64 [T]."""

    def load(self) -> Splits:
        """Windows whose whole future lies in the part: first train, then validation, then test.

        A part that is held out has at least ``horizon`` steps of each series.
        """
        found = self.checked(self.series(), "the data")
        self.fitted = {"context": self.context, "horizon": self.horizon, "log": self.log}
        windows: dict[str, list[tuple[int, int]]] = {"train": [], "val": [], "test": []}
        for number, values in enumerate(found.values()):
            count = len(values)
            test, val = (self._held_out(count, f) for f in (self.test_fraction, self.val_fraction))
            ends = {"train": count - val - test, "val": count - test, "test": count}
            first = min(self.context, max(LEAST, count - val - test - self.horizon))
            for name, end in ends.items():
                last = end - self.horizon
                windows[name] += [(number, k) for k in range(first, last + 1)]
                first = max(first, end)
        if not windows["train"]:
            longest = max(map(len, found.values()))
            raise UserError(
                f"The longest series has {longest} steps, too few for data.horizon {self.horizon} "
                f"with the held-out parts.\nGive longer series or a smaller data.horizon.",
                key=("data.horizon", "data.path"),
            )
        series = list(found.values())
        return {
            name: Futures(series, w, self.context, self.horizon, self.log)
            for name, w in windows.items()
        }

    def _held_out(self, count: int, fraction: float) -> int:
        """Steps of a held-out part: at least one window's future."""
        return max(round(count * fraction), self.horizon) if fraction else 0

    def checked(self, found: dict[str, Tensor], source: str | Path) -> dict[str, Tensor]:
        """The same series.

        Raises:
            UserError: a value is missing or infinite, or not positive where logarithms are wanted.
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
                    f"data.log: the series {name} of {source} has values of 0 or less.\n"
                    "Write data.log: false.",
                    key="data.log",
                )
        return found

    def sizes(self) -> dict[str, Any]:
        """One channel, and an output for each future step."""
        return {"channels": 1, "outputs": self.fitted["horizon"]}

    def example(self, count: int) -> tuple[Input, ...]:
        """Pasts [B, T, 1], lengths [B], and scales [B, 3]."""
        scale = Input("scale", torch.ones(count, 3), {0: "batch"})
        return *some_series(count, 1), scale

    def continued(self, found: dict[str, Tensor]) -> Rows:
        """One window at the end of each series."""
        context, horizon, log = (self.fitted[k] for k in ("context", "horizon", "log"))
        ends = [(k, len(v)) for k, v in enumerate(found.values())]
        return Futures(list(found.values()), ends, context, horizon, log, labels=list(found))


class ForecastTable(Forecast):
    """Series of the user's: a table with a row for each step.

    Args:
        path: a .csv, .tsv, .parquet or .jsonl file.
        target: the column with the values.
        time: the column that orders the steps; the order of the file if not given.
        id: the column that says which series a row belongs to; one series if not given.
    """

    def __init__(
        self, path: str, target: str, time: str | None = None, id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.target, self.time, self.id = path, target, time, id

    def series(self) -> dict[str, Tensor]:
        """The series of the file."""
        return self._read(self.path, "data.path")

    def read(self, source: Path) -> Rows:
        """The series of another table, each to be continued after its end."""
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
    """A real series that comes with gdlightning.

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
        """The one series."""
        path = Path(__file__).parent / "samples" / f"{self.dataset}.csv"
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        values = [float(line.split(",")[1]) for line in lines]
        return {self.dataset: torch.tensor(values, dtype=torch.float64)}

    def read(self, source: Path) -> Rows:
        """The last column of another table."""
        frame = read_table(source, "--input")
        name = str(frame.columns[-1])
        if frame[name].dtype.kind not in "iuf":
            raise UserError(f"--input: {name}, the last column of {source}, is not numeric.")
        return self.continued(self.checked({name: _tensor(frame[name])}, source))


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values.to_numpy("float64", na_value=math.nan))
