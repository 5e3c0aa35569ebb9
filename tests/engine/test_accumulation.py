"""Accumulated batches make the same step as one large batch, with any loader."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gdlightning as gdl
from gdlightning.engine.epoch_loop import EpochLoop

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(23, 3, generator=GENERATOR, dtype=torch.float64)
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64) + 0.1
LABELS = torch.randint(0, 5, (23, 6), generator=GENERATOR)
LABELS[torch.rand(23, 6, generator=GENERATOR) < 0.5] = -100
LABELS[:, 0] = 1

pytestmark = pytest.mark.filterwarnings("ignore")


class Line(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Linear(3, 1, dtype=torch.float64)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss: Tensor = (self.net(batch[0]) - batch[1]).square().mean()
        return loss


class Tagger(L.LightningModule):
    """Loss averaged over the labels that are not ignored."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Linear(3, 30, dtype=torch.float64)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        scores = self.net(batch["x"]).view(-1, 6, 5)
        return F.cross_entropy(scores.flatten(0, 1), batch["labels"].flatten())


def loader(size: int, tagged: bool = False) -> Any:
    if not tagged:
        return DataLoader(TensorDataset(X, Y), size)
    rows = [{"x": x, "labels": y} for x, y in zip(X, LABELS, strict=True)]
    return DataLoader(rows, size)  # type: ignore[arg-type]


def train(
    module: Any, loaders: Any, optimizer: str = "sgd", ours: bool = True, **options: Any
) -> Tensor:
    """Return the weights after training with our loop or with Lightning's."""
    settings = {"momentum": 0.0} if optimizer == "sgd" else {"base": "sgd"}
    gdl.optimize(module, {"name": optimizer, **settings}, lr=0.05)
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 2, **options},
    )
    if ours:
        EpochLoop.install(trainer)
    trainer.fit(module, loaders)
    found: Tensor = module.net.weight.detach()
    return found


def large(module: Any, windows: Sequence[Sequence[int]], tagged: bool = False) -> Tensor:
    """Return the weights after plain steps, each with all examples of a window at once."""
    for window in windows:
        rows = torch.tensor(window)
        batch = {"x": X[rows], "labels": LABELS[rows]} if tagged else [X[rows], Y[rows]]
        loss = module.training_step(batch, 0)
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter -= 0.05 * gradient
    found: Tensor = module.net.weight.detach()
    return found


def spans(*ends: int) -> list[range]:
    return [range(a, b) for a, b in zip((0, *ends), ends, strict=False)]


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(
    ("size", "options", "windows"),
    [
        (5, {"accumulate_grad_batches": 2}, spans(10, 20, 23)),  # 5 + 5, 5 + 5, 3
        (5, {"accumulate_grad_batches": 3}, spans(15, 23)),  # 5 + 5 + 5, 5 + 3
        (4, {"accumulate_grad_batches": 9}, spans(23)),
        (4, {"accumulate_grad_batches": 2, "limit_train_batches": 3}, spans(8, 12)),
        (4, {"accumulate_grad_batches": 4, "limit_train_batches": 0.9}, spans(16, 20)),
    ],
)
def test_a_window_is_one_large_batch(
    size: int, options: dict[str, Any], windows: list[range], ours: bool
) -> None:
    found = train(Line(), loader(size), ours=ours, **options)
    torch.testing.assert_close(found, large(Line(), windows * 2), rtol=1e-12, atol=0)


def test_a_scheduler_of_accumulation() -> None:
    callbacks = [GradientAccumulationScheduler({0: 2, 1: 3})]
    found = train(Line(), loader(5), callbacks=callbacks)
    expected = large(Line(), [*spans(10, 20, 23), *spans(15, 23)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_losses_averaged_over_scored_labels() -> None:
    found = train(Tagger(), loader(5, tagged=True), accumulate_grad_batches=3)
    expected = large(Tagger(), spans(15, 23) * 2, tagged=True)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


class Summed(Line):
    """Divides the loss by a custom weight."""

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        weight = batch[0][:, :1].abs()
        loss: Tensor = (weight * (self.net(batch[0]) - batch[1]).square()).sum() / weight.sum()
        return loss

    def loss_weight(self, batch: list[Tensor]) -> float:
        return float(batch[0][:, 0].abs().sum())


def test_a_module_defines_the_weight_of_its_loss() -> None:
    found = train(Summed(), loader(5), accumulate_grad_batches=3)
    expected = large(Summed(), spans(15, 23) * 2)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


class Unrelated(Line):
    """Has a layer of that name, which is not the method."""

    def __init__(self) -> None:
        super().__init__()
        self.loss_weight = nn.Identity()


def test_a_layer_named_loss_weight_is_not_called() -> None:
    found = train(Unrelated(), loader(5), accumulate_grad_batches=3)
    torch.testing.assert_close(found, large(Line(), spans(15, 23) * 2), rtol=1e-12, atol=0)


@pytest.mark.parametrize("ours", [True, False])
def test_an_optimizer_that_repeats_the_window(ours: bool) -> None:
    found = train(Line(), loader(5), "sam", ours=ours, accumulate_grad_batches=5)
    whole = train(Line(), loader(23), "sam")
    torch.testing.assert_close(found, whole, rtol=1e-10, atol=0)


def test_complete_windows_are_not_scaled() -> None:
    """The weights are bit-identical to Lightning's where Lightning is correct."""

    class Plain(Line):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    exact: dict[str, Any] = {"accumulate_grad_batches": 2, "limit_train_batches": 4}
    alone = Plain()
    L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **exact,
    ).fit(alone, loader(5))
    assert torch.equal(train(Line(), loader(5), **exact), alone.net.weight.detach())


TWO_RANKS = """
import sys

import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader, Dataset

import gdlightning as gdl

LABELS = torch.tensor([[1, 2, -100], [0, -100, -100], [2, 1, 0], [-100, 1, -100],
                       [0, -100, 2], [1, 0, 2], [-100, 2, -100], [0, 0, 1]])
X = torch.arange(24.0, dtype=torch.float64).view(8, 3) / 10


class Rows(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"x": X[index], "labels": LABELS[index]}


class Tagger(L.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = torch.nn.Linear(3, 9, dtype=torch.float64)

    def training_step(self, batch, batch_idx):
        scores = self.net(batch["x"]).view(-1, 3, 3)
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch["labels"].flatten())


if __name__ == "__main__":
    ranks = int(sys.argv[1])
    module = gdl.optimize(Tagger(), "sgd", lr=0.5, momentum=0.0)
    trainer = L.Trainer(
        max_epochs=3, accelerator="cpu", devices=ranks, strategy="ddp" if ranks > 1 else "auto",
        accumulate_grad_batches=2 if ranks > 1 else 1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )
    # Two ranks see rows 0, 2, 4, 6 and 1, 3, 5, 7 in batches of two; one process sees all rows.
    sampled = DataLoader(Rows(), 8 if ranks == 1 else 2)
    trainer.fit(module, sampled)
    torch.save(module.state_dict(), f"weights-{ranks}-{trainer.global_rank}.pt")
"""


def test_two_ranks_with_different_counts_make_the_step_of_one_batch(tmp_path: Path) -> None:
    """The gradient is averaged over the ranks before the window is complete."""
    (tmp_path / "ranks.py").write_text(TWO_RANKS)
    for ranks in ("1", "2"):
        command = [sys.executable, "ranks.py", ranks]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    whole, first, second = (
        torch.load(tmp_path / f"weights-{name}.pt", weights_only=True)
        for name in ("1-0", "2-0", "2-1")
    )
    for key, value in whole.items():
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key], value, rtol=1e-12, atol=1e-14)
