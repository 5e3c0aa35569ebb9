"""Workloads for comparing optimizers: a model, its data, and a length of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as L
import torch
from torch import nn

from gdlightning.data.data_module import DataModule
from gdlightning.optimizers.groups import Grouping
from gdlightning.tasks.task import Task

HIGHER = ("accuracy", "f1", "auroc", "r2", "auc", "precision", "recall")
"""Metrics for which higher is better."""
MAX_STACKED_PARAMETERS = 200_000
"""Number of parameters up to which stacked runs are faster than sequential runs on a CPU."""


@dataclass
class Workload:
    """Task with all settings that the compared optimizers share.

    Args:
        name: name in the report.
        module: factory of the module; initial weights depend on torch's random state.
        data: data module; splits are equal for all runs, and each run has its own batch order.
        steps: optimizer steps of a full-length run.
        clip: gradient clipping, as for ``optimize``.
        grouping: rules of the parameter groups.
        metric: validation metric to tune for; the report shows the corresponding test metric.
        trainer: additional arguments of Lightning's Trainer.
        schedule: default schedule of optimizers without their own.
    """

    name: str
    module: Callable[[], L.LightningModule]
    data: L.LightningDataModule
    steps: int
    clip: str | float | Mapping[str, Any] | None = None
    grouping: Grouping = field(default_factory=Grouping)
    metric: str = "val_loss"
    trainer: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] | None = None
    _stacks: bool | None = None

    @property
    def higher(self) -> bool:
        """Whether higher values of the metric are better."""
        return self.metric.removeprefix("val_") in HIGHER

    @property
    def test_metric(self) -> str:
        """Corresponding metric on the test split, or the metric itself if there is none."""
        data = self.data
        tests = not isinstance(data, DataModule) or len(data.rows.get("test", ()))
        return self.metric.replace("val_", "test_", 1) if tests else self.metric

    def score(self, metrics: Mapping[str, float], metric: str | None = None) -> float:
        """Return the metric with lower values better; infinite if it is missing or non-finite."""
        value = metrics.get(metric or self.metric, math.nan)
        if not math.isfinite(value):
            return math.inf
        return -value if self.higher else value

    def prepare(self) -> None:
        """Load the data."""
        if isinstance(self.data, DataModule):
            self.data.setup()

    @property
    def stacks(self) -> bool:
        """Whether runs can be stacked: small tasks of gdlightning on a CPU, tuned for the loss."""
        if self._stacks is None:
            self._stacks = self._can_stack(self.module())
        return self._stacks

    def _can_stack(self, module: L.LightningModule) -> bool:
        unusual = (
            self.metric != "val_loss"
            or self.grouping.rules
            or self.max_norm is False
            or self.trainer.get("precision")
            or self.trainer.get("accumulate_grad_batches", 1) != 1
            or any(k.startswith("limit_") for k in self.trainer)
            or (torch.cuda.is_available() and self.trainer.get("accelerator") != "cpu")
        )
        if unusual or not isinstance(module, Task) or not isinstance(self.data, DataModule):
            return False
        odd = any(
            isinstance(m, nn.modules.conv._ConvNd | nn.modules.batchnorm._NormBase)
            or getattr(m, "sparse", False)
            for m in module.modules()
        )
        return self.data.pieces == 1 and self.small and not odd

    @property
    def small(self) -> bool:
        """Whether the model is too small to use a CPU core efficiently."""
        return sum(p.numel() for p in self.module().parameters()) <= MAX_STACKED_PARAMETERS

    def without_stacks(self) -> None:
        """Run sequentially from now on, because the net has an operation that cannot be stacked."""
        self._stacks = False

    @property
    def max_norm(self) -> float | bool | None:
        """Maximum gradient norm; None without clipping, False for other clipping methods."""
        clip = self.clip
        if clip is None or clip == "none" or clip == {"name": "none"}:
            return None
        if isinstance(clip, int | float):
            return float(clip)
        named = {"name": clip} if isinstance(clip, str) else dict(clip)
        if named.pop("name") == "norm" and set(named) <= {"max_norm"}:
            return float(named.get("max_norm", 1.0))
        return False
