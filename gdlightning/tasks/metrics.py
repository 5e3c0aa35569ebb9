"""Metrics that are NaN for splits that are too small, and that avoid rounding errors."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC
from torchmetrics.regression import R2Score
from torchmetrics.utilities.data import dim_zero_cat


class R2(R2Score):
    """R² that is NaN for fewer than two examples, where torchmetrics raises an error.

    Args:
        centre: value subtracted from predictions and targets. It does not change the score, but
            avoids cancellation in float32 sums of squares for values far from 0.
    """

    def __init__(self, centre: float = 0.0) -> None:
        super().__init__()
        self.centre = centre

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the predictions and targets of a batch."""
        super().update(preds - self.centre, target - self.centre)

    def compute(self) -> Tensor:
        """Return the score over all batches."""
        if int(self.total) < 2:
            return torch.full((), torch.nan, device=self.residual.device)
        score: Tensor = super().compute()
        return score


class AUROC(MulticlassAUROC):
    """One-vs-rest AUROC, averaged over the classes that are present but not alone in a split.

    torchmetrics scores a missing class as 0, which lowers the mean. This class ignores missing
    classes, and returns NaN if no class remains.

    Args:
        classes: number of classes.
        thresholds: number of thresholds of the ROC curve; if None, the score is exact and all
            predictions are kept in memory.
    """

    def __init__(self, classes: int, thresholds: int | None = None) -> None:
        super().__init__(classes, average="none", thresholds=thresholds, validate_args=False)

    def compute(self) -> Any:
        """Return the mean over the classes that have both positive and negative examples."""
        state: Any = self
        if self.thresholds is None:
            positive = torch.bincount(dim_zero_cat(state.target), minlength=self.num_classes)
        else:
            positive = state.confmat[0, :, 1].sum(dim=-1)  # [threshold, class, target, prediction]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchmetrics warns about missing classes
            each: Tensor = super().compute()
        return each[(positive > 0) & (positive < positive.sum())].mean()


def full(x: Tensor) -> Tensor:
    """Cast to at least float32, as metrics need more digits than half precision has."""
    return x.float() if x.element_size() < 4 else x
