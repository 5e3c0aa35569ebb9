"""Metrics that say NaN where a split is too small to tell, and lose no digits on the way."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC
from torchmetrics.regression import R2Score
from torchmetrics.utilities.data import dim_zero_cat


class R2(R2Score):
    """R²; NaN for fewer than two examples, where torchmetrics raises.

    Args:
        centre: subtracted from predictions and targets, which changes nothing but rounding: the
            float32 sums of squares of numbers far from 0 would cancel.
    """

    def __init__(self, centre: float = 0.0) -> None:
        super().__init__()
        self.centre = centre

    def update(self, preds: Tensor, target: Tensor) -> None:
        """The predictions and targets of a batch."""
        super().update(preds - self.centre, target - self.centre)

    def compute(self) -> Tensor:
        """The score over all that was seen."""
        if int(self.total) < 2:
            return torch.full((), torch.nan, device=self.residual.device)
        score: Tensor = super().compute()
        return score


class AUROC(MulticlassAUROC):
    """One against the rest, the mean over those classes that a split has examples of, and others.

    torchmetrics counts a class that a split lacks as 0, which draws the mean down; here it is left
    out, and NaN stands where none is left.

    Args:
        classes: their number.
        thresholds: of the curve; exact, and with all predictions kept, if not given.
    """

    def __init__(self, classes: int, thresholds: int | None = None) -> None:
        super().__init__(classes, average="none", thresholds=thresholds, validate_args=False)

    def compute(self) -> Any:
        """The mean over all that was seen."""
        state: Any = self
        if self.thresholds is None:
            positive = torch.bincount(dim_zero_cat(state.target), minlength=self.num_classes)
        else:
            positive = state.confmat[0, :, 1].sum(dim=-1)  # [threshold, class, target, prediction]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the classes that are left out
            each: Tensor = super().compute()
        return each[(positive > 0) & (positive < positive.sum())].mean()


def full(x: Tensor) -> Tensor:
    """At least float32: metrics in the target's unit need more digits than mixed precision has."""
    return x.float() if x.element_size() < 4 else x
