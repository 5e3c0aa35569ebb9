"""Classification and regression over any net: what the families share."""

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


class Supervised(Task):
    """A net from inputs to outputs; batches are ``(inputs, targets)``.

    ``inputs`` is a tensor, or a tuple of tensors that are the net's arguments in order.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, *inputs: Tensor) -> Tensor:
        """The net's raw outputs."""
        outputs: Tensor = self.net(*inputs)
        return outputs

    def outputs(self, batch: Any) -> Tensor:
        """The net's outputs for a batch, with or without targets."""
        inputs = batch[0]
        result: Tensor = self(*inputs) if isinstance(inputs, tuple | list) else self(inputs)
        return result


class Classification(Supervised):
    """One class of several: cross-entropy; accuracy, macro F1 and, one against the rest, AUROC.

    Args:
        net: gives one logit a class, shape [B, classes].
        classes: their names in the order of the logits; numbers if not given.
        outputs: the number of classes, if ``classes`` is not given.
        label_smoothing: part of the probability spread over all classes (Szegedy et al. 2016).
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
            raise UserError(f"{type(self).__name__} needs classes or outputs (their number).")
        if classes is None and outputs == 1:
            raise UserError(
                f"{type(self).__name__} needs two classes or more, but the target of the data is "
                "a number.\nChoose a regression (gdl list model), or set data.problem: "
                "classification."
            )
        if not 0 <= label_smoothing < 1:
            raise UserError(f"model.label_smoothing is {label_smoothing}; write 0 to below 1.")
        self.classes = classes or [str(k) for k in range(outputs or 0)]
        self.label_smoothing = label_smoothing

    def metrics(self) -> dict[str, Metric]:
        """Accuracy, macro F1, AUROC (exact for few classes, in constant memory for many).

        Targets out of range have failed in the loss already.
        """
        count = len(self.classes)
        thresholds = None if count <= 10 else 200
        return {
            "accuracy": MulticlassAccuracy(count, average="micro", validate_args=False),
            "f1": MulticlassF1Score(count, average="macro", validate_args=False),
            "auroc": AUROC(count, thresholds=thresholds),
        }

    def loss(self, batch: Any) -> Tensor:
        """Mean cross-entropy in nats; targets are int64 class numbers, shape [B]."""
        logits, targets = full(self.outputs(batch)), batch[1]
        self.observe(logits, targets)
        return F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """The class and the probability of each class, a record an example."""
        probabilities = torch.softmax(self.outputs(batch).detach().cpu().double(), dim=-1)
        return [
            {
                "prediction": self.classes[int(row.argmax())],
                **{f"probability_{c}": float(p) for c, p in zip(self.classes, row, strict=True)},
            }
            for row in probabilities
        ]


class Regression(Supervised):
    """Real numbers: mean squared error on the standardised target; RMSE, MAE and R² in its units.

    Args:
        net: gives one number a target, shape [B, 1] or [B].
        target_mean: of the training targets, in their own unit; 0 if neither data nor user tell.
        target_std: of the training targets, in their own unit; 1 if neither data nor user tell.
        classes: what the data tells where its target is a class; refused.
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
                f"{len(classes)} classes.\nChoose a classification (gdl list model), or set "
                "data.problem: regression if they are numbers."
            )
        self.target_mean = 0.0 if target_mean is None else target_mean
        self.target_std = 1.0 if target_std is None else target_std

    def metrics(self) -> dict[str, Metric]:
        """RMSE, MAE and R²."""
        return {
            "rmse": MeanSquaredError(squared=False),
            "mae": MeanAbsoluteError(),
            "r2": R2(centre=self.target_mean),
        }

    def loss(self, batch: Any) -> Tensor:
        """Mean squared error in units of the target's standard deviation."""
        outputs, targets = full(self.outputs(batch)).reshape(-1), batch[1].reshape(-1)
        self.observe(self.in_units(outputs), targets)
        return F.mse_loss(outputs, (targets - self.target_mean) / self.target_std)

    def in_units(self, outputs: Tensor) -> Tensor:
        """Outputs of the net in the target's own unit."""
        return outputs * self.target_std + self.target_mean

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """The predicted value, a record an example."""
        values = self.in_units(self.outputs(batch).detach().cpu().double().reshape(-1))
        return [{"prediction": float(v)} for v in values]
