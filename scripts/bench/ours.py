"""The workloads as a task and a data module of gdlightning."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from workloads import WORKLOADS, cross_entropy

import gdlightning as gdl
from gdlightning.data.loader import TensorRows


class Classifier(gdl.Task):
    """Classes from a workload's net."""

    def __init__(self, workload: str) -> None:
        super().__init__()
        self.workload = WORKLOADS[workload]
        self.net, _ = self.workload.prepared(sparse=self.workload.sparse)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        found: Tensor = self.net(x)
        return found

    def metrics(self) -> dict[str, Metric]:
        """The share of right answers."""
        return {"accuracy": MulticlassAccuracy(self.workload.classes, average="micro")}

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy."""
        logits = self(batch[0])
        self.observe(logits.flatten(0, -2), batch[1].flatten())
        return cross_entropy(logits, batch[1])


class Examples(gdl.DataModule):
    """A workload's data, all for training."""

    def __init__(self, workload: str, **options: Any) -> None:
        super().__init__(**options)
        self.workload = WORKLOADS[workload]

    def load(self) -> dict[str, Any]:
        """Training rows alone."""
        return {"train": TensorRows(*self.workload.prepared()[1])}
