"""Tasks on series: classification and forecasting."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.regression import (
    MeanAbsoluteError,
    MeanSquaredError,
    SymmetricMeanAbsolutePercentageError,
)

from gdlightning.tasks.supervised import Classification
from gdlightning.tasks.task import Task

__all__ = ["Forecasting", "SequenceClassification"]


class SequenceClassification(Classification):
    """Classification of series; accuracy, macro F1 and AUROC."""

    default_net = "recurrent"


class Forecasting(Task):
    """Forecasting of a series: squared error in units of each window's standard deviation.

    The net predicts the change from the last time step, so an untrained net forecasts no change.

    Args:
        net: network from (past [B, T, 1], lengths [B]) to [B, horizon].
    """

    default_net = "temporal-convolution"

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, past: Tensor, lengths: Tensor, scale: Tensor) -> Tensor:
        """Return the standardised forecast [B, horizon].

        Args:
            past: standardised windows, [B, T, 1].
            lengths: number of valid time steps per window, [B].
            scale: mean, standard deviation and log flag per window, [B, 3]; see ``in_units``.
        """
        last = past[torch.arange(past.shape[0], device=past.device), lengths - 1]
        change: Tensor = self.net(past, lengths)
        return last + change

    def metrics(self) -> dict[str, Metric]:
        """Return RMSE, MAE and symmetric MAPE, in the unit of the data."""
        return {
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "smape": SymmetricMeanAbsolutePercentageError(),
        }

    def loss(self, batch: Any) -> Tensor:
        """Return the mean squared error over the horizon, in units of the window's deviation."""
        (past, lengths, scale), future = batch
        outputs = self(past, lengths, scale)
        self.observe(in_units(outputs, scale).flatten(), future.flatten())
        wanted = torch.where(scale[:, 2:] > 0, future.clamp(min=1e-9).log(), future)
        return F.mse_loss(outputs, (wanted - scale[:, :1]) / scale[:, 1:2])

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Return a record per series with ``step_1``, ``step_2``, … in the unit of the data."""
        values = in_units(self(*batch[0]), batch[0][2]).detach().cpu().double()
        return [{f"step_{k + 1}": float(v) for k, v in enumerate(row)} for row in values]

    def samples(self, batch: Any) -> Mapping[str, Any]:
        """Return a figure of the first and last windows: past, future and forecast."""
        if find_spec("matplotlib") is None:
            return {}
        from matplotlib.figure import Figure

        (past, lengths, scale), future = batch
        forecast = in_units(self(past, lengths, scale), scale)
        seen = in_units(past[..., 0], scale)
        figure = Figure(figsize=(9, 3), layout="constrained")
        for panel, k in zip(figure.subplots(1, 2), (0, len(past) - 1), strict=True):
            count, last = int(lengths[k]), seen[k, int(lengths[k]) - 1 : int(lengths[k])]
            ahead = range(future.shape[1] + 1)  # 0 is the last step of the past
            known, predicted = torch.cat([last, future[k]]), torch.cat([last, forecast[k]])
            panel.plot(ahead, known.cpu(), color="#2a9d5c", label="future")
            panel.plot(ahead, predicted.cpu(), color="#d9480f", linestyle="--", label="forecast")
            panel.plot(range(1 - count, 1), seen[k, :count].cpu(), color="#555555", label="past")
            panel.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
            panel.set_title(f"window {k + 1} of {len(past)}", fontsize=10, loc="left")
            panel.set_xlabel("steps ahead", fontsize=9, color="#666666")
            panel.tick_params(labelsize=8, colors="#666666")
            panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8)
        return {"forecast": figure}


def in_units(outputs: Tensor, scale: Tensor) -> Tensor:
    """Convert standardised outputs [B, H] to the unit of the data.

    Args:
        outputs: outputs in units of the window, [B, H].
        scale: mean, standard deviation and log flag per window, [B, 3].
    """
    values = outputs * scale[:, 1:2] + scale[:, :1]
    return torch.where(scale[:, 2:] > 0, values.exp(), values)
