"""Clipping in Lightning: once per step, on the accumulated and unscaled gradient."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.engine.optimization import Optimization


class Line(L.LightningModule):
    """Linear model with large gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return 100 * nn.functional.mse_loss(self.layer(x).float(), y)


class Steps(L.Callback):
    """Callback that records the norm of each step."""

    def __init__(self) -> None:
        self.moved: list[float] = []
        self.before: Tensor | None = None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.before = flat(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        assert self.before is not None
        self.moved.append(float((flat(pl_module) - self.before).norm()))


def flat(module: nn.Module) -> Tensor:
    """Return all weights as one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def data() -> DataLoader[Any]:
    """Return 12 rows in batches of 2."""
    x = torch.arange(36.0).reshape(12, 3).cos()
    return DataLoader(TensorDataset(x, x.sum(dim=1, keepdim=True) + 1), batch_size=2)


def train(clip: Any, **options: Any) -> tuple[Line, Steps, Optimization]:
    torch.manual_seed(0)
    model, steps = Line(), Steps()
    optimization = Optimization({"name": "gd", "lr": 1.0}, clip=clip)
    optimization.attach(model)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        callbacks=[steps],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(model, data())
    return model, steps, optimization


@pytest.mark.parametrize("accumulate", [1, 3])
def test_norm_of_each_step_is_the_clipped_norm(accumulate: int) -> None:
    _, steps, optimization = train(0.01, accumulate_grad_batches=accumulate)
    made = [m for m in steps.moved if m > 0]
    assert made == pytest.approx([0.01] * (6 // accumulate), rel=1e-3)
    assert optimization.clip.norm is not None
    assert float(optimization.clip.norm) > 1
    assert float(optimization.clip.clipped) == 1


def test_accumulated_gradient_is_clipped_once() -> None:
    ours, _, _ = train(0.5, accumulate_grad_batches=6)
    torch.manual_seed(0)
    model = Line()
    for batch in data():
        (model.training_step(batch, 0) / 6).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert torch.equal(flat(ours), flat(model))


def test_bfloat16() -> None:
    _, steps, _ = train(0.01, precision="bf16-mixed")
    assert steps.moved == pytest.approx([0.01] * 6, rel=1e-3)


def test_scaled_float16_gradients_are_unscaled_first() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    _, steps, optimization = train(0.01, plugins=[plugin])
    assert steps.moved == pytest.approx([0.01] * 6, rel=1e-3)
    _, _, plain = train(0.01)
    assert optimization.clip.norm is not None
    assert plain.clip.norm is not None
    assert float(optimization.clip.norm) == pytest.approx(float(plain.clip.norm), rel=0.02)
