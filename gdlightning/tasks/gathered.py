"""What metrics are shown in training, gathered until an update is worth its cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

ADDITIVE = ("torchmetrics.classification.", "torchmetrics.regression.", "gdlightning.tasks.metrics")
"""Where the metrics are for which one update with two batches is as good as two updates."""
MOST = 2**14
"""Numbers that are gathered; the predictions of a large net are many by themselves."""


class Gathered:
    """Predictions and targets for one update of metrics with those of several batches.

    An update takes longer than a small net's step. The metrics make it themselves before they are
    computed; what is gathered then is a function of the batches since the last one alone, so that
    a training that is resumed with ``state`` goes on with the same bits.

    Args:
        metrics: that are updated.
    """

    def __init__(self, metrics: MetricCollection) -> None:
        self.metrics = metrics
        self._predictions: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._numbers = 0
        members = list(metrics.values())
        self._gathers = all(type(m).__module__.startswith(ADDITIVE) for m in members)
        for member in members if self._gathers else ():
            member.compute = self._after(self.update, member.compute)  # type: ignore[method-assign]
            member.reset = self._after(self._clear, member.reset)  # type: ignore[method-assign]

    def add(self, predictions: Tensor, targets: Tensor) -> None:
        """Gather a batch, shapes [B, ...]; update the metrics if it is enough."""
        if not self._gathers or not predictions.ndim or not targets.ndim:
            self.metrics.update(predictions, targets)
            return
        first = (self._predictions or [predictions])[0], (self._targets or [targets])[0]
        if (predictions.shape[1:], targets.shape[1:]) != (first[0].shape[1:], first[1].shape[1:]):
            self.update()
        self._predictions.append(predictions)
        self._targets.append(targets)
        self._numbers += predictions.numel() + targets.numel()
        if self._numbers > MOST:
            self.update()

    def update(self) -> None:
        """Update the metrics with what is gathered."""
        if self._predictions:
            predictions, targets = torch.cat(self._predictions), torch.cat(self._targets)
            self._clear()
            self.metrics.update(predictions, targets)

    def state(self) -> dict[str, Any]:
        """What is gathered, for a checkpoint."""
        return {"predictions": [*self._predictions], "targets": [*self._targets]}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on with what was gathered."""
        self._predictions = [t.to(device) for t in state["predictions"]]
        self._targets = [t.to(device) for t in state["targets"]]
        self._numbers = sum(t.numel() for t in (*self._predictions, *self._targets))

    def _clear(self) -> None:
        self._predictions, self._targets, self._numbers = [], [], 0

    @staticmethod
    def _after(first: Callable[[], None], method: Callable[..., Any]) -> Callable[..., Any]:
        def both(*args: Any, **kwargs: Any) -> Any:
            first()
            return method(*args, **kwargs)

        return both
