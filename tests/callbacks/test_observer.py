"""A failing observer does not end the run."""

from __future__ import annotations

import dataclasses
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from helpers import QUIET, Run, metrics
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gdlightning.callbacks.monitor import Monitor
from gdlightning.tasks.task import examples

X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))


@dataclasses.dataclass
class Pair:
    x: Tensor
    y: Tensor


class Holder:
    """Batch type of a third-party library."""

    def __init__(self, x: Tensor) -> None:
        self.name, self.x = "points", x

    def to(self, device: Any, **_: Any) -> Holder:
        return Holder(self.x.to(device))


BATCHES = {
    "data class": Pair(X[:8], X[:8]),
    "object": Holder(X[:8]),
    "none": None,
    "text": "abc",
    "nested": {"a": [X[:8], {"b": X[:8]}], "names": ["n"] * 8},
}


class Odd(L.LightningDataModule):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def train_dataloader(self) -> Any:
        return DataLoader(range(64), 8, collate_fn=lambda rows: BATCHES[self.kind])  # type: ignore[arg-type]


class Net(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss: Tensor = self.net(X[:8]).square().mean()
        self.log("train_loss", loss, batch_size=8)
        return loss


FIT = (
    "fit",
    *QUIET,
    "--model",
    f"{__name__}.Net",
    "--data",
    f"{__name__}.Odd",
    "--trainer.max_epochs",
    "2",
    "--monitor.every",
    "1",
)


@pytest.mark.parametrize("kind", BATCHES)
def test_batches_of_any_kind_are_trained(kind: str, gdl: Run) -> None:
    done = gdl(*FIT, "--data.kind", kind)
    assert done.code == 0, done.err
    assert "is off" not in done.err


@pytest.mark.parametrize(
    ("kind", "count"), [("data class", 8), ("object", 8), ("none", 1), ("text", 1), ("nested", 8)]
)
def test_examples_of_a_batch(kind: str, count: int) -> None:
    assert examples(BATCHES[kind]) == count


def test_a_monitor_that_fails_is_disabled(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gdl(*FIT, "--data.kind", "text")
    assert plain.code == 0

    def fails(self: Monitor, *_: Any) -> None:
        raise RuntimeError("no such layer\nand more")

    monkeypatch.setattr(Monitor, "_measure", fails)
    done = gdl(*FIT, "--data.kind", "text")
    assert done.code == 0, done.err
    assert (
        "Note: Monitor failed and is disabled from step 1: RuntimeError: no such layer\n"
        in done.err
    )
    assert done.err.count("is disabled") == 1
    assert metrics("run", 1) == metrics("run", 0)
