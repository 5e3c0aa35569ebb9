"""Classification and regression with any net."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

from gdlightning.errors import UserError
from gdlightning.tasks.metrics import AUROC, R2, full
from gdlightning.tasks.task import Task

__all__ = ["Classification", "Regression"]


class Supervised(Task):
    """Base class of tasks whose batches are ``(inputs, targets)``.

    ``inputs`` is a tensor, or a tuple of tensors that are passed to the net as positional
    arguments.

    Args:
        net: network from inputs to outputs.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the raw outputs of the net."""
        outputs: Tensor = self.net(*inputs)
        return outputs

    def outputs(self, batch: Any) -> Tensor:
        """Return the outputs of the net for a batch with or without targets."""
        inputs = batch[0]
        result: Tensor = self(*inputs) if isinstance(inputs, tuple | list) else self(inputs)
        return result


class Classification(Supervised):
    """Classification with cross-entropy; accuracy, macro F1 and one-vs-rest AUROC.

    Args:
        net: network that returns one logit per class, [B, classes].
        classes: class names in the order of the logits; numbers if None.
        outputs: number of classes; required if ``classes`` is None.
        label_smoothing: probability spread over all classes (Szegedy et al. 2016,
            arXiv:1512.00567).

    Raises:
        UserError: if the number of classes is unknown or 1, or ``label_smoothing`` is out of range.
    """

    def __init__(
        self,
        net: nn.Module,
        classes: list[str] | None = None,
        outputs: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(net)
        if classes is None and outputs is None:
            raise UserError(
                f"{type(self).__name__} needs classes, or outputs, the number of classes."
            )
        if classes is None and outputs == 1:
            raise UserError(
                f"{type(self).__name__} needs at least two classes, but the target of the data "
                "is a number.\nUse a regression task (gdl list model), or set "
                "data.problem: classification."
            )
        if not 0 <= label_smoothing < 1:
            raise UserError(
                "model.label_smoothing must be in [0, 1)",
                key="model.label_smoothing",
                value=label_smoothing,
            )
        self.classes = classes or [str(k) for k in range(outputs or 0)]
        self.label_smoothing = label_smoothing

    def metrics(self) -> dict[str, Metric]:
        """Return accuracy, macro F1 and AUROC; AUROC is exact for up to 10 classes.

        With more classes, AUROC uses 200 thresholds and constant memory. Validation of the targets
        is disabled because cross-entropy already fails for targets out of range.
        """
        count = len(self.classes)
        thresholds = None if count <= 10 else 200
        return {
            "accuracy": MulticlassAccuracy(count, average="micro", validate_args=False),
            "f1": MulticlassF1Score(count, average="macro", validate_args=False),
            "auroc": AUROC(count, thresholds=thresholds),
        }

    def loss(self, batch: Any) -> Tensor:
        """Return the mean cross-entropy in nats; targets are int64 class indices, [B]."""
        logits, targets = full(self.outputs(batch)), batch[1]
        self.observe(logits, targets)
        return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Return a record per example with the predicted class and all class probabilities."""
        probabilities = torch.softmax(self.outputs(batch).detach().cpu().double(), dim=-1)
        return [
            {
                "prediction": self.classes[int(row.argmax())],
                **{f"probability_{c}": float(p) for c, p in zip(self.classes, row, strict=True)},
            }
            for row in probabilities
        ]


class Regression(Supervised):
    """Regression with squared error on standardised targets; RMSE, MAE and R² in the target's unit.

    Args:
        net: network that returns one number per example, [B, 1] or [B].
        target_mean: mean of the training targets; by default set by the data module, otherwise 0.
        target_std: standard deviation of the training targets; by default set by the data module,
            otherwise 1.
        classes: class names of a categorical target; raises an error unless None.

    Raises:
        UserError: if ``classes`` is given.
    """

    problem = "regression"

    def __init__(
        self,
        net: nn.Module,
        target_mean: float | None = None,
        target_std: float | None = None,
        classes: list[str] | None = None,
    ) -> None:
        super().__init__(net)
        if classes is not None:
            raise UserError(
                f"{type(self).__name__} is a regression, but the target of the data is one of "
                f"{len(classes)} classes.\nUse a classification task (gdl list model), or set "
                "data.problem: regression if the classes are numbers."
            )
        self.target_mean = 0.0 if target_mean is None else target_mean
        self.target_std = 1.0 if target_std is None else target_std

    def metrics(self) -> dict[str, Metric]:
        """Return RMSE, MAE and R²."""
        return {
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "r2": R2(centre=self.target_mean),
        }

    def loss(self, batch: Any) -> Tensor:
        """Return the mean squared error in units of the target's standard deviation."""
        outputs, targets = full(self.outputs(batch)).reshape(-1), batch[1].reshape(-1)
        self.observe(self.in_units(outputs), targets)
        return F.mse_loss(outputs, (targets - self.target_mean) / self.target_std)

    def in_units(self, outputs: Tensor) -> Tensor:
        """Convert outputs of the net to the target's unit."""
        return outputs * self.target_std + self.target_mean

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Return a record per example with the predicted value."""
        values = self.in_units(self.outputs(batch).detach().cpu().double().reshape(-1))
        return [{"prediction": float(v)} for v in values]
