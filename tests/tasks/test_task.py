"""A custom task with forward, loss and metrics alone."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanSquaredError, Metric

import gdlightning as gdl
from gdlightning.tasks.task import examples


class Denoiser(gdl.Task):
    """Task from the docstring of ``Task``."""

    def __init__(self, width: int = 8, measured: bool = True) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 4))
        self.measured = measured

    def forward(self, x: Tensor) -> Tensor:
        restored: Tensor = self.net(x)
        return restored

    def metrics(self) -> dict[str, Metric]:
        return {"mse": MeanSquaredError()} if self.measured else {}

    def loss(self, batch: Any) -> Tensor:
        (clean,) = batch
        restored = self(clean)
        self.observe(restored, clean)
        return F.mse_loss(restored, clean)


def loader(rows: int = 22) -> DataLoader[Any]:
    """Return batches of 5, of which the last is smaller."""
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x), batch_size=5)


@pytest.mark.parametrize("measured", [True, False])
def test_trains_validates_and_tests(measured: bool) -> None:
    torch.manual_seed(0)
    task = Denoiser(measured=measured)
    gdl.optimize(task, "adamw", lr=0.01)
    trainer = L.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = loader()
    trainer.fit(task, data, data)
    found = {k: float(v) for k, v in trainer.callback_metrics.items()}
    assert ("val_mse" in found) is measured
    assert "train_loss" in found
    (tested,) = trainer.test(task, data, verbose=False)
    x = torch.cat([b[0] for b in data])
    wanted = float(F.mse_loss(task(x), x).detach())
    assert tested["test_loss"] == pytest.approx(wanted, rel=1e-5)  # weighted by batch size
    assert found["val_loss"] == pytest.approx(wanted, rel=1e-5)
    if measured:
        assert tested["test_mse"] == pytest.approx(wanted, rel=1e-5)


def test_observe_outside_a_stage_does_nothing() -> None:
    task = Denoiser()
    task.loss((torch.randn(3, 4),))
    task.prepare_metrics()
    for metric in task.modules():
        if isinstance(metric, MeanSquaredError):
            assert int(metric.total) == 0


def test_metrics_are_not_in_the_state_dict() -> None:
    task = Denoiser()
    before = set(task.state_dict())
    task.prepare_metrics()
    assert set(task.state_dict()) == before


def test_task_without_a_loss_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"must define loss"):
        gdl.Task().loss(None)


@pytest.mark.parametrize(
    ("batch", "count"),
    [
        (torch.zeros(3, 2), 3),
        (torch.tensor(1.0), 1),
        ((torch.zeros(9, 2), torch.zeros(4)), 4),
        (((torch.zeros(9), torch.zeros(4), torch.zeros(9)), torch.zeros(4)), 4),
        ({"x": torch.zeros(5, 2), "y": torch.zeros(5)}, 5),
        ([torch.zeros(2), "names"], 2),
        (((torch.zeros(6, 3, 1), torch.zeros(6)),), 6),
        ("text", 1),
    ],
)
def test_examples_of_a_batch(batch: Any, count: int) -> None:
    assert examples(batch) == count


def test_mismatch_of_task_and_target_is_an_error() -> None:
    net = nn.Linear(2, 1)
    with pytest.raises(gdl.UserError, match="at least two classes"):
        gdl.Classification(net, outputs=1)
    with pytest.raises(gdl.UserError, match="needs classes, or outputs"):
        gdl.Classification(net)
    with pytest.raises(gdl.UserError, match="one of 2 classes"):
        gdl.Regression(net, classes=["a", "b"])
    with pytest.raises(gdl.UserError, match=r"label_smoothing must be in \[0, 1\) \(got 1"):
        gdl.Classification(net, outputs=2, label_smoothing=1.0)


def test_predictions_use_class_names() -> None:
    net = nn.Linear(2, 3)
    task = gdl.Classification(net, classes=["x", "y", "z"])
    inputs = torch.randn(4, 2)
    records = task.predict_step((inputs,))
    wanted = torch.softmax(net(inputs).double(), dim=1)
    for record, row in zip(records, wanted, strict=True):
        assert record["prediction"] == "xyz"[int(row.argmax())]
        found = [record[f"probability_{c}"] for c in "xyz"]
        assert found == pytest.approx(row.tolist())


def test_label_smoothing_is_equal_to_torch() -> None:
    net = nn.Linear(2, 3)
    inputs, targets = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    task = gdl.Classification(net, outputs=3, label_smoothing=0.1)
    wanted = F.cross_entropy(net(inputs), targets, label_smoothing=0.1)
    torch.testing.assert_close(task.loss((inputs, targets)), wanted)
