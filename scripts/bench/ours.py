"""The workloads as a task and a data module of gdlightning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from workloads import WORKLOADS, cross_entropy

import gdlightning as gdl
from gdlightning.data.loader import TensorRows
from gdlightning.tasks.language import PerUnit


class Classifier(gdl.Task):
    """Classification task with the net of a workload."""

    def __init__(self, workload: str) -> None:
        super().__init__()
        self.workload = WORKLOADS[workload]
        self.net, _ = self.workload.prepared(sparse=self.workload.sparse)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        found: Tensor = self.net(x)
        return found

    def metrics(self) -> dict[str, Metric]:
        """Return the accuracy, or the perplexity of a language model."""
        if self.workload.name == "transformer":
            return {"perplexity": PerUnit(bits=False)}
        count = self.workload.classes
        return {"accuracy": MulticlassAccuracy(count, average="micro", validate_args=False)}

    def loss(self, batch: Any) -> Tensor:
        """Cross-entropy."""
        logits, targets = self(batch[0]), batch[1]
        loss = cross_entropy(logits, targets)
        if self.workload.name == "transformer":
            count = torch.tensor([targets.numel(), targets.numel()])
            self.observe(loss.detach() * targets.numel(), count)
        else:
            self.observe(logits, targets)
        return loss


class Examples(gdl.DataModule):
    """Data of a workload, with a training split only."""

    def __init__(self, workload: str, **options: Any) -> None:
        super().__init__(**options)
        self.workload = WORKLOADS[workload]

    def load(self) -> dict[str, Any]:
        """Return the training split."""
        return {"train": TensorRows(*self.workload.prepared()[1])}
