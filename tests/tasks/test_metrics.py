"""Metrics equal those of scikit-learn, and are NaN for splits that are too small."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs
from torch import Tensor, nn

import gdlightning as gdl
from gdlightning.tasks.metrics import AUROC, R2


class Given(nn.Module):
    """Net that returns its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def evaluate(task: gdl.Task, batches: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Return the validation metrics over batches, without a trainer."""
    task.prepare_metrics()
    collection: Any = task.get_submodule("_stage_metrics.val_")
    task._observing = collection
    for batch in batches:
        task.loss(batch)
    return {k.removeprefix("val_"): float(v) for k, v in collection.compute().items()}


def batched(*tensors: Tensor) -> list[Any]:
    """Split tensors into uneven batches."""
    return list(zip(*(t.split([7, 1, len(t) - 8]) for t in tensors), strict=True))


@pytest.mark.parametrize("classes", [2, 4])
def test_classification(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(60, classes, generator=generator)
    targets = torch.randint(classes, (60,), generator=generator)
    found = evaluate(gdl.Classification(Given(), outputs=classes), batched(logits, targets))
    guess = logits.argmax(dim=1)
    scores = torch.softmax(logits.double(), dim=1)
    auroc = theirs.roc_auc_score(
        targets, scores[:, 1] if classes == 2 else scores, multi_class="ovr"
    )
    assert found["accuracy"] == pytest.approx(theirs.accuracy_score(targets, guess), abs=1e-6)
    assert found["f1"] == pytest.approx(theirs.f1_score(targets, guess, average="macro"), abs=1e-6)
    assert found["auroc"] == pytest.approx(auroc, abs=1e-6)


def test_auroc_of_many_classes_is_approximate() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(600, 12, generator=generator)
    targets = torch.randint(12, (600,), generator=generator)
    found = evaluate(gdl.Classification(Given(), outputs=12), batched(logits, targets))
    scores = torch.softmax(logits.double(), dim=1)
    auroc = theirs.roc_auc_score(targets, scores, multi_class="ovr")
    assert found["auroc"] == pytest.approx(auroc, abs=0.01)


def test_regression_metrics_are_in_the_unit_of_the_target() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(60, 1, generator=generator)
    targets = 2000 + 5 * (outputs[:, 0] + 0.3 * torch.randn(60, generator=generator))
    task = gdl.Regression(Given(), target_mean=2000.0, target_std=5.0)
    found = evaluate(task, batched(outputs, targets))
    guess = (outputs[:, 0].double() * 5 + 2000).numpy()
    assert found["rmse"] == pytest.approx(theirs.root_mean_squared_error(targets, guess), rel=1e-3)
    assert found["mae"] == pytest.approx(theirs.mean_absolute_error(targets, guess), rel=1e-3)
    assert found["r2"] == pytest.approx(theirs.r2_score(targets, guess), rel=1e-3)
    standardised = (targets.double() - 2000) / 5
    loss = float(task.loss((outputs, targets)))
    assert loss == pytest.approx(float((outputs[:, 0] - standardised).square().mean()), rel=1e-3)
    records = task.predict_step((outputs,))
    assert [r["prediction"] for r in records] == pytest.approx(guess.tolist())


def test_metrics_are_float32_in_mixed_precision() -> None:
    outputs = torch.linspace(-1, 1, 9).to(torch.bfloat16)[:, None]
    targets = outputs[:, 0].float() * 50 + 300_000
    task = gdl.Regression(Given(), target_mean=300_000.0, target_std=50.0)
    assert evaluate(task, [(outputs, targets)])["rmse"] < 0.1


def test_r2_does_not_depend_on_an_offset() -> None:
    x = torch.linspace(-1, 1, 64)
    noisy = x + 0.1 * (40 * x).sin()
    near, far = R2(), R2(centre=1e6)
    near.update(noisy, x)
    far.update(noisy.double() + 1e6, x.double() + 1e6)
    assert float(far.compute()) == pytest.approx(float(near.compute()), rel=1e-5)


def test_split_of_one_row() -> None:
    found = evaluate(gdl.Regression(Given()), [(torch.tensor([[1.0]]), torch.tensor([3.0]))])
    assert found["rmse"] == found["mae"] == 2
    assert math.isnan(found["r2"])
    task = gdl.Classification(Given(), outputs=3)
    found = evaluate(task, [(torch.tensor([[0.0, 2.0, 1.0]]), torch.tensor([1]))])
    assert (found["accuracy"], found["f1"]) == (1, 1)
    assert math.isnan(found["auroc"])


@pytest.mark.parametrize("thresholds", [None, 200])
def test_auroc_ignores_missing_classes(thresholds: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(40, 3, generator=generator).softmax(dim=1)
    targets = torch.arange(40) % 2  # class 2 is missing
    metric = AUROC(3, thresholds=thresholds)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metric.update(scores, targets)
        found = float(metric.compute())
    each = [theirs.roc_auc_score(targets == k, scores[:, k]) for k in (0, 1)]
    assert found == pytest.approx(np.mean(each), abs=1e-6 if thresholds is None else 0.03)


def test_metrics_accumulate_over_batches_and_reset() -> None:
    metric = AUROC(2)
    scores, targets = torch.rand(20, 2), torch.arange(20) % 2
    metric.update(scores, targets)
    first = float(metric.compute())
    metric.reset()
    for part in range(0, 20, 5):
        metric.update(scores[part : part + 5], targets[part : part + 5])
    assert float(metric.compute()) == pytest.approx(first)
