"""Tasks on series: their class, and how they go on."""

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
    """The class of a series; accuracy, macro F1, AUROC."""

    default_net = "recurrent"


class Forecasting(Task):
    """The next steps of a series: squared error in units of the window's own deviation.

    The net predicts the change from the last step, so that an untrained one forecasts that
    nothing changes.

    Args:
        net: from (past [B, T, 1], lengths [B]) to [B, horizon].
    """

    default_net = "temporal-convolution"

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, past: Tensor, lengths: Tensor, scale: Tensor) -> Tensor:
        """The future in units of the window, [B, horizon]; ``scale`` is for ``in_units``."""
        last = past[torch.arange(past.shape[0], device=past.device), lengths - 1]
        change: Tensor = self.net(past, lengths)
        return last + change

    def metrics(self) -> dict[str, Metric]:
        """RMSE, MAE, and symmetric MAPE, in the units of the user."""
        return {
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "smape": SymmetricMeanAbsolutePercentageError(),
        }

    def loss(self, batch: Any) -> Tensor:
        """Mean squared error over the horizon, in units of the window's deviation."""
        (past, lengths, scale), future = batch
        outputs = self(past, lengths, scale)
        self.observe(in_units(outputs, scale).flatten(), future.flatten())
        wanted = torch.where(scale[:, 2:] > 0, future.clamp(min=1e-9).log(), future)
        return F.mse_loss(outputs, (wanted - scale[:, :1]) / scale[:, 1:2])

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """``step_1``, ``step_2``, … in the units of the user, a record a series."""
        values = in_units(self(*batch[0]), batch[0][2]).detach().cpu().double()
        return [{f"step_{k + 1}": float(v) for k, v in enumerate(row)} for row in values]

    def samples(self, batch: Any) -> Mapping[str, Any]:
        """The first and last windows of the batch: past, future, and forecast."""
        if find_spec("matplotlib") is None:
            return {}
        from matplotlib.figure import Figure

        (past, lengths, scale), future = batch
        forecast = in_units(self(past, lengths, scale), scale)
        seen = in_units(past[..., 0], scale)
        figure = Figure(figsize=(9, 3), layout="constrained")
        for panel, k in zip(figure.subplots(1, 2), (0, len(past) - 1), strict=True):
            count, last = int(lengths[k]), seen[k, int(lengths[k]) - 1 : int(lengths[k])]
            ahead = range(future.shape[1] + 1)  # 0 is the last known step
            known, guessed = torch.cat([last, future[k]]), torch.cat([last, forecast[k]])
            panel.plot(ahead, known.cpu(), color="#2a9d5c", label="future")
            panel.plot(ahead, guessed.cpu(), color="#d9480f", linestyle="--", label="forecast")
            panel.plot(range(1 - count, 1), seen[k, :count].cpu(), color="#555555", label="past")
            panel.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
            panel.set_title(f"window {k + 1} of {len(past)}", fontsize=10, loc="left")
            panel.set_xlabel("steps ahead", fontsize=9, color="#666666")
            panel.tick_params(labelsize=8, colors="#666666")
            panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=8)
        return {"forecast": figure}


def in_units(outputs: Tensor, scale: Tensor) -> Tensor:
    """From units of the window, [B, H], to those of the user; scale is [B, 3]."""
    values = outputs * scale[:, 1:2] + scale[:, :1]
    return torch.where(scale[:, 2:] > 0, values.exp(), values)
