"""Callbacks can read the indices of the current batch."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.data.loader import BatchLoader, TensorRows
from gdlightning.engine.train_loaders import batch_indices


class Reads(L.LightningModule):
    def __init__(self, loaders: Any) -> None:
        super().__init__()
        self.net, self.loaders = nn.Linear(1, 1), loaders
        self.seen: list[Any] = []

    def train_dataloader(self) -> Any:
        return self.loaders

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen.append(batch_indices(self.trainer))
        return self.net.weight.sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def seen(loaders: Any) -> list[Any]:
    module = Reads(loaders)
    L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module)
    return module.seen


@pytest.mark.filterwarnings("ignore")
def test_indices_of_each_batch() -> None:
    rows = TensorRows(torch.arange(5.0)[:, None])
    assert [index.tolist() for index in seen(BatchLoader(rows, 2))] == [[0, 1], [2, 3], [4]]
    several = seen({"a": DataLoader(TensorDataset(torch.ones(2))), "b": BatchLoader(rows, 3)})
    assert [index.tolist() for index in several] == [[0, 1, 2], [3, 4]]
    assert seen(DataLoader(TensorDataset(torch.ones(1)))) == [None]
