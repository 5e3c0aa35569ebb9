"""Optimizers that evaluate the loss several times per step, with Lightning."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy

import gdlightning as gdl

X = torch.linspace(-1, 1, 64, dtype=torch.float64).reshape(16, 4)
Y = X.sum(1, keepdim=True).sin()
CLIP, LR, RHO = 0.4, 0.2, 0.1


class Net(L.LightningModule):
    """Dropout and batch norm, in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
        ).double()
        self.seen = MeanMetric()
        self.steps = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss: Tensor = (self.net(x) - y).square().mean()
        self.seen.update(loss.detach())
        self.log("seen", self.seen, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.steps = int(self.seen._update_count)


def test_sam_equals_a_loop_by_hand_with_clipping_accumulation_dropout_and_batch_norm() -> None:
    ours = Net()
    data = DataLoader(TensorDataset(X, Y), batch_size=4)
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=2,
    )
    options = {"name": "sam", "lr": LR, "rho": RHO, "base": {"name": "gd"}}
    gdl.optimize(ours, options, clip=CLIP)
    torch.manual_seed(7)
    trainer.fit(ours, data)
    assert trainer.global_step == 2
    assert ours.steps == 4  # each batch is counted once

    theirs = Net().net
    params = list(theirs.parameters())
    norm = theirs[1]
    assert isinstance(norm, nn.BatchNorm1d)
    torch.manual_seed(7)
    torch.empty((), dtype=torch.int64).random_()  # the loader draws its seed
    for window in ((0, 4), (8, 12)):
        state = torch.get_rng_state()
        for first in window:
            x, y = X[first : first + 4], Y[first : first + 4]
            ((theirs(x) - y).square().mean() / 2).backward()
        after = torch.get_rng_state()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        kept = [norm.running_mean.clone(), norm.running_var.clone()]
        nn.utils.clip_grad_norm_(params, CLIP)
        size = nn.utils.get_total_norm([p.grad for p in params if p.grad is not None])
        before = [p.detach().clone() for p in params]
        with torch.no_grad():
            for p in params:
                assert p.grad is not None
                p.add_(p.grad * (RHO / (size + 1e-12)))
                p.grad = None
        torch.set_rng_state(state)
        for first in window:
            x, y = X[first : first + 4], Y[first : first + 4]
            ((theirs(x) - y).square().mean() / 2).backward()
        torch.set_rng_state(after)
        nn.utils.clip_grad_norm_(params, CLIP)
        with torch.no_grad():
            norm.running_mean.copy_(kept[0])
            norm.running_var.copy_(kept[1])
            for p, start in zip(params, before, strict=True):
                assert p.grad is not None
                p.copy_(start - LR * p.grad)
                p.grad = None
    for name, mine in ours.net.state_dict().items():
        if "num_batches" not in name:
            assert torch.allclose(mine, theirs.state_dict()[name], rtol=0, atol=1e-12), name


class Counts(gdl.Task):
    """Task that stores the loss of each evaluation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net, self.evaluated = nn.Linear(4, 2).double(), list[float]()

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": MulticlassAccuracy(2, average="micro")}

    def loss(self, batch: Any) -> Tensor:
        logits, classes = self.net(batch[0]), (batch[1][:, 0] > 0).long()
        self.observe(logits, classes)
        loss = nn.functional.cross_entropy(logits, classes)
        self.evaluated.append(float(loss.detach()))
        return loss


class Logged(L.Callback):
    """Stores the logged loss per batch and the number of examples in the epoch's metric."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.seen = 0

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        self.losses.append(float(trainer.callback_metrics["train_loss"]))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        pl_module.gathered.update()
        counts = pl_module.get_submodule("_stage_metrics.train_.accuracy")
        self.seen = int(counts.tp + counts.fn)


@pytest.mark.filterwarnings("ignore:.*no `val_dataloader`")
@pytest.mark.parametrize("optimizer", ["sam", "lbfgs", "adamw"])
def test_a_task_logs_and_counts_each_batch_once(optimizer: str) -> None:
    task, logged = Counts(), Logged()
    gdl.optimize(task, optimizer)
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[logged],
    )
    trainer.fit(task, DataLoader(TensorDataset(X, Y), batch_size=4))
    assert logged.seen == 16
    evaluations = len(task.evaluated) // 4
    assert evaluations >= (1 if optimizer == "adamw" else 2)
    if optimizer != "lbfgs":
        assert logged.losses == task.evaluated[::evaluations]
    assert logged.losses[0] == task.evaluated[0]
