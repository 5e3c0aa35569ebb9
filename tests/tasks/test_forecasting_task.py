"""Forecasts and their metrics are in the unit of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs
from torch import Tensor, nn

from gdlightning.data.forecasting import SampleSeries
from gdlightning.tasks.sequence import Forecasting, in_units


class Still(nn.Module):
    """Net that predicts a fixed change of the last value, 0 by default."""

    def __init__(self, change: float = 0.0) -> None:
        super().__init__()
        self.change = change

    def forward(self, past: Tensor, lengths: Tensor) -> Tensor:
        return torch.full((len(past), 12), self.change)


def batch(log: bool) -> Any:
    data = SampleSeries(context=24, horizon=12, log=log)
    data.setup()
    return data.rows["test"].take(torch.arange(len(data.rows["test"])))


@pytest.mark.parametrize("log", [False, True])
def test_output_is_the_change_from_the_last_step(log: bool) -> None:
    inputs, future = batch(log)
    records = Forecasting(Still()).predict_step((inputs,))
    past, lengths, scale = inputs
    own = in_units(past[..., 0], scale)
    for record, row, n in zip(records, own, lengths.tolist(), strict=True):
        assert list(record) == [f"step_{k}" for k in range(1, 13)]
        assert list(record.values()) == pytest.approx([float(row[n - 1])] * 12, rel=1e-5)
    assert 100 < float(own.min()) < float(future.max()) < 1000


@pytest.mark.parametrize("log", [False, True])
def test_metrics_are_in_the_unit_of_the_data(log: bool) -> None:
    inputs, future = batch(log)
    task = Forecasting(Still(0.2))
    task.prepare_metrics()
    collection: Any = task.get_submodule("_stage_metrics.test_")
    task._observing = collection
    loss = float(task.loss((inputs, future)))
    found = {k.removeprefix("test_"): float(v) for k, v in collection.compute().items()}
    records = task.predict_step((inputs,))
    guess = np.array([list(r.values()) for r in records]).ravel()
    wanted = future.double().numpy().ravel()
    assert found["rmse"] == pytest.approx(theirs.root_mean_squared_error(wanted, guess), rel=1e-5)
    assert found["mae"] == pytest.approx(theirs.mean_absolute_error(wanted, guess), rel=1e-5)
    smape = np.mean(2 * np.abs(guess - wanted) / (np.abs(guess) + np.abs(wanted)))
    assert found["smape"] == pytest.approx(smape, rel=1e-5)
    scale = inputs[2].double().numpy()
    to = np.log if log else np.asarray
    errors = (to(guess.reshape(future.shape)) - to(future.double().numpy())) / scale[:, 1:2]
    assert loss == pytest.approx(np.mean(errors**2), rel=1e-4)


def test_samples_show_the_first_and_last_windows() -> None:
    (figure,) = Forecasting(Still()).samples(batch(True)).values()
    assert len(figure.axes) == 2
    for panel in figure.axes:
        lines = {str(line.get_label()): line for line in panel.lines}
        past, future, forecast = (lines[k] for k in ("past", "future", "forecast"))
        assert list(past.get_xdata())[-1] == 0
        for line in (future, forecast):  # both start at the last step of the past
            assert list(line.get_xdata()) == list(range(13))
            assert line.get_ydata()[0] == past.get_ydata()[-1]
        assert len(set(forecast.get_ydata().tolist())) == 1
