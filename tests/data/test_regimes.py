"""Batch regimes: the step of each is that of a float64 gradient computed by hand."""

from __future__ import annotations

from typing import Any, Literal

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from torch import Tensor

import gdlightning as gdl
from gdlightning.data.loader import BatchLoader, TensorRows

COUNT, LR = 23, 0.1


class Points(gdl.DataModule):
    """Float64 points, all for training."""

    def load(self) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(5)
        x = torch.randn(COUNT, 3, generator=generator, dtype=torch.float64)
        y = torch.randn(COUNT, generator=generator, dtype=torch.float64)
        return {"train": TensorRows(x, y), "val": TensorRows(x[:1], y[:1])}


class Line(L.LightningModule):
    """Least squares in float64, from 0; keeps the examples of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.batches: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        self.batches.append((x, y))
        loss: Tensor = (x @ self.w - y).square().mean()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


class Weights(L.Callback):
    """The weights after each optimizer step."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        if trainer.global_step > len(self.found):
            self.found.append(pl_module.w.detach().numpy().copy())


def train(
    batch_size: int | Literal["full"],
    micro: int | None = None,
    accumulate: int | None = None,
    epochs: int = 1,
) -> tuple[Line, list[Any]]:
    """Plain gradient descent."""
    data = Points(
        batch_size=batch_size, micro_batch_size=micro, val_fraction=0.0, test_fraction=0.0
    )
    data.setup()
    model, weights = Line(), Weights()
    gdl.optimize(model, "gd", lr=LR)
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=[weights],
        accumulate_grad_batches=accumulate or data.pieces,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=data)
    return model, weights.found


def check(model: Line, found: list[Any], windows: list[int], epochs: int = 1) -> None:
    """Each step is w - lr · 2 Xᵀ(Xw - y) / n over all examples of its window of batches."""
    w, start = np.zeros(3), 0
    assert len(found) == len(windows)
    for after, count in zip(found, windows, strict=True):
        part = model.batches[start : start + count]
        start += count
        x = torch.cat([b[0] for b in part]).numpy()
        y = torch.cat([b[1] for b in part]).numpy()
        w = w - LR * 2 * x.T @ (x @ w - y) / len(y)
        np.testing.assert_allclose(after, w, rtol=1e-12, atol=1e-14)
    assert start == len(model.batches)
    seen = torch.cat([b[1] for b in model.batches]).sort().values
    x, y = Points().load()["train"].take(torch.arange(COUNT))
    assert torch.equal(seen, y.repeat(epochs).sort().values)  # each example once an epoch


def test_full_is_the_exact_gradient_of_the_whole_split() -> None:
    model, found = train("full", epochs=3)
    assert [len(b[1]) for b in model.batches] == [COUNT] * 3
    check(model, found, [1] * 3, epochs=3)


@pytest.mark.parametrize("micro", [1, 5, 8, 22])
def test_full_in_pieces_is_the_same_step(micro: int) -> None:
    pieces = -(-COUNT // micro)
    model, found = train("full", micro=micro, epochs=2)
    assert max(len(b[1]) for b in model.batches) <= micro
    check(model, found, [pieces] * 2, epochs=2)
    _, whole = train("full", epochs=2)
    np.testing.assert_allclose(found, whole, rtol=1e-12)


@pytest.mark.parametrize(
    ("size", "accumulate", "windows"),
    [
        (5, 2, [2, 2, 1]),  # 5 + 5, 5 + 5, 3
        (4, 3, [3, 3]),  # 4 + 4 + 4, 4 + 4 + 3
        (7, 4, [4]),  # 7 + 7 + 7 + 2
        (7, 9, [4]),
    ],
)
def test_accumulated_batches_of_unequal_size(
    size: int, accumulate: int, windows: list[int]
) -> None:
    model, found = train(size, accumulate=accumulate, epochs=2)
    check(model, found, windows * 2, epochs=2)


@pytest.mark.parametrize(("size", "steps"), [(1, 23), (6, 4), (64, 1)])
def test_stochastic_and_mini_batches(size: int, steps: int) -> None:
    model, found = train(size, epochs=2)
    check(model, found, [1] * steps * 2, epochs=2)


def test_mini_batches_in_pieces_are_whole_batches() -> None:
    model, found = train(10, micro=4)
    sizes = [len(b[1]) for b in model.batches]
    assert max(sizes) <= 4
    check(model, found, pieces_of(sizes, 10))


def pieces_of(sizes: list[int], whole: int) -> list[int]:
    """How many of the batches make each step: ``whole`` examples, or what an epoch leaves."""
    windows, count, total = [], 0, 0
    for k, size in enumerate(sizes):
        count, total = count + 1, total + size
        if total >= whole or k == len(sizes) - 1:
            windows.append(count)
            count = total = 0
    return windows


def test_shuffled_anew_each_epoch_by_the_seed() -> None:
    first, _ = train(5, epochs=2)
    again, _ = train(5, epochs=2)
    orders = [torch.cat([b[1] for b in m.batches]) for m in (first, again)]
    assert torch.equal(*orders)
    assert not torch.equal(orders[0][:COUNT], orders[0][COUNT:])


@pytest.mark.parametrize(("key", "value"), [("batch_size", 0), ("micro_batch_size", 0)])
def test_sizes_that_cant_be_meant(key: str, value: int) -> None:
    options: dict[str, Any] = {key: value}
    with pytest.raises(gdl.UserError, match=rf"data\.{key} is 0"):
        Points(**options)


def test_any_seed_of_the_data_orders_it() -> None:
    rows = TensorRows(torch.arange(COUNT))
    for seed in (2**63 - 1, -(2**63), 9 * 10**16):
        loader = BatchLoader(rows, 4, shuffle=True, seed=seed)
        assert torch.cat([batch[0] for batch in loader]).sort().values.tolist() == [*range(COUNT)]
