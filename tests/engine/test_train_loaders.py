"""What callbacks learn of the current batch."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.data.loader import BatchLoader, TensorRows
from gdlightning.engine.train_loaders import BatchInfo, batch_info


class Reads(L.LightningModule):
    def __init__(self, loaders: Any) -> None:
        super().__init__()
        self.net, self.loaders = nn.Linear(1, 1), loaders
        self.seen: list[BatchInfo] = []

    def train_dataloader(self) -> Any:
        return self.loaders

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen.append(batch_info(self.trainer))
        return self.net.weight.sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def seen(loaders: Any) -> list[BatchInfo]:
    module = Reads(loaders)
    L.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    ).fit(module)  # fmt: skip
    return module.seen


@pytest.mark.filterwarnings("ignore")
def test_weight_and_indices_of_each_batch() -> None:
    """Batches of 2, 2 and 1 examples: each window's weights sum to its number of batches."""
    rows = TensorRows(torch.arange(5.0)[:, None])
    found = seen(BatchLoader(rows, 2, accumulate=3))
    assert [info.weight for info in found] == pytest.approx([6 / 5, 6 / 5, 3 / 5])
    assert [info.indices.tolist() for info in found] == [[0, 1], [2, 3], [4]]
    several = seen({"a": DataLoader(TensorDataset(torch.ones(2))), "b": BatchLoader(rows, 3)})
    assert [info.indices.tolist() for info in several] == [[0, 1, 2], [3, 4]]
    assert seen(DataLoader(TensorDataset(torch.ones(1)))) == [BatchInfo(1.0, None)]
