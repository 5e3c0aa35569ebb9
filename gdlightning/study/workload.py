"""What optimizers are compared on: a model, its data, and a length of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as L
import torch
from torch import nn

from gdlightning.data.module import DataModule
from gdlightning.optimizers.groups import Grouping
from gdlightning.tasks.task import Task

HIGHER = ("accuracy", "f1", "auroc", "r2", "auc", "precision", "recall")
"""Metrics of which more is better."""
SMALL = 200_000
"""Parameters up to which stacked copies are trained faster than one after the other on a CPU."""


@dataclass
class Workload:
    """A task with all that every optimizer has in common there.

    Args:
        name: in the report.
        module: makes the module, with weights from torch's random state.
        data: its splits are the same for all; the order of batches is each training's own.
        steps: optimizer steps of a whole training.
        clip: a way of clipping, as ``optimize`` takes it.
        grouping: rules for the parameter groups.
        metric: that is tuned for, on the validation split; the figures are its like of the test
            split.
        trainer: further arguments of Lightning's Trainer.
        schedule: the task's own schedule, for optimizers that have none of theirs.
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
        """Whether more of the metric is better."""
        return self.metric.removeprefix("val_") in HIGHER

    @property
    def test_metric(self) -> str:
        """The metric's like on the test split; its own where there is none."""
        data = self.data
        tests = not isinstance(data, DataModule) or len(data.rows.get("test", ()))
        return self.metric.replace("val_", "test_", 1) if tests else self.metric

    def score(self, metrics: Mapping[str, float], metric: str | None = None) -> float:
        """The metric so that less is better; infinite where it is missing or no number."""
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
        """Whether trainings may be stacked: a small task of ours, on a CPU, tuned for its loss."""
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
        """Whether a step leaves a core with little to do."""
        return sum(p.numel() for p in self.module().parameters()) <= SMALL

    def without_stacks(self) -> None:
        """Train one by one from now on: the net has an operation that can't be stacked."""
        self._stacks = False

    @property
    def max_norm(self) -> float | bool | None:
        """The maximal norm of gradients, None without clipping; False for other clipping."""
        clip = self.clip
        if clip is None or clip == "none" or clip == {"name": "none"}:
            return None
        if isinstance(clip, int | float):
            return float(clip)
        named = {"name": clip} if isinstance(clip, str) else dict(clip)
        if named.pop("name") == "norm" and set(named) <= {"max_norm"}:
            return float(named.get("max_norm", 1.0))
        return False
