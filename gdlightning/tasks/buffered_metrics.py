"""Metric updates in training that combine several batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

ADDITIVE = ("torchmetrics.classification.", "torchmetrics.regression.", "gdlightning.tasks.metrics")
"""Modules of metrics for which one update with two batches equals two updates."""
MAX_BUFFERED_VALUES = 2**14
"""Number of buffered values that triggers an update, which bounds the memory."""


class Gathered:
    """Buffer of predictions and targets that updates metrics with several batches at once.

    A metric update takes longer than a step of a small net. Metrics flush the buffer before they
    compute. The buffer depends only on the batches since the last ``compute``, so a run that is
    resumed with ``state`` logs the same bits.

    Args:
        metrics: metrics to update.
    """

    def __init__(self, metrics: MetricCollection) -> None:
        self.metrics = metrics
        self._predictions: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._values = 0
        members = list(metrics.values())
        self._buffers_batches = all(type(m).__module__.startswith(ADDITIVE) for m in members)
        for member in members if self._buffers_batches else ():
            member.compute = self._before(self.update, member.compute)  # type: ignore[method-assign]
            member.reset = self._before(self._clear, member.reset)  # type: ignore[method-assign]

    def add(self, predictions: Tensor, targets: Tensor) -> None:
        """Add the predictions and targets of a batch, [B, ...], and update the metrics if needed.

        The metrics are updated if the buffer is full or the shape of an example changes.
        """
        if not self._buffers_batches or not predictions.ndim or not targets.ndim:
            self.metrics.update(predictions, targets)
            return
        first = (self._predictions or [predictions])[0], (self._targets or [targets])[0]
        if (predictions.shape[1:], targets.shape[1:]) != (first[0].shape[1:], first[1].shape[1:]):
            self.update()
        self._predictions.append(predictions)
        self._targets.append(targets)
        self._values += predictions.numel() + targets.numel()
        if self._values > MAX_BUFFERED_VALUES:
            self.update()

    def update(self) -> None:
        """Update the metrics with the buffered batches."""
        if self._predictions:
            predictions, targets = torch.cat(self._predictions), torch.cat(self._targets)
            self._clear()
            self.metrics.update(predictions, targets)

    def state(self) -> dict[str, Any]:
        """Return the buffered batches, for a checkpoint."""
        return {"predictions": [*self._predictions], "targets": [*self._targets]}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore the buffered batches."""
        self._predictions = [t.to(device) for t in state["predictions"]]
        self._targets = [t.to(device) for t in state["targets"]]
        self._values = sum(t.numel() for t in (*self._predictions, *self._targets))

    def _clear(self) -> None:
        self._predictions, self._targets, self._values = [], [], 0

    @staticmethod
    def _before(first: Callable[[], None], method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            first()
            return method(*args, **kwargs)

        return wrapped
