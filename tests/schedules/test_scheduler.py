"""The logged learning rate is the one used in each step."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.callbacks.step_logger import Watch
from gdlightning.engine.optimization import Optimization
from gdlightning.schedules import Schedule

PEAK = 0.1


class Line(L.LightningModule):
    """Plain Lightning module."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return torch.nn.functional.mse_loss(self.layer(x), y)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.training_step(batch, batch_idx))


class Used(L.Callback):
    """Callback that records the learning rate of each step as the optimizer steps."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.found.append(float(optimizer.param_groups[0]["lr"]))


class Memory(Logger):
    """Logger that keeps logged learning rates in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, float] = {}

    name = version = "memory"

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        rates = [v for k, v in metrics.items() if k == "lr" or k.startswith("lr/")]
        if rates:
            assert step is not None
            self.found[step] = rates[0]


def train(schedule: dict[str, Any], **options: Any) -> tuple[list[float], dict[int, float]]:
    """Return the used and the logged learning rates; an epoch has 5 batches."""
    x = torch.linspace(0, 1, 20)[:, None]
    data = DataLoader(TensorDataset(x, 2 * x), batch_size=4)
    model, used, memory, watch = Line(), Used(), Memory(), Watch(samples=False, graph=False)
    optimization = Optimization({"name": "gd", "lr": PEAK}, schedule)
    optimization.attach(model)
    watch.optimization = optimization
    trainer = L.Trainer(
        accelerator="cpu",
        logger=memory,
        callbacks=[watch, used],
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(model, data, data)
    return used.found, memory.found


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"max_epochs": 3}, 15),
        ({"max_epochs": 3, "accumulate_grad_batches": 2}, 9),
        ({"max_steps": 7}, 7),
        ({"max_steps": 7, "accumulate_grad_batches": 3}, 7),
        ({"max_steps": 100, "max_epochs": 2}, 10),
    ],
)
@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_used_and_logged_rates_follow_the_schedule(
    name: str, options: dict[str, Any], steps: int
) -> None:
    given: dict[str, Any] = {"name": name, "warmup": 2}
    used, logged = train(given, **options)
    plan = Schedule(**given)
    wanted = [PEAK * plan.factor(k, steps) for k in range(steps)]
    assert used == pytest.approx(wanted)
    assert logged == pytest.approx(dict(enumerate(used)))


def test_warmup_in_epochs_counts_optimizer_steps() -> None:
    used, _ = train(
        {"name": "constant", "warmup": "2 epochs"}, max_epochs=4, accumulate_grad_batches=2
    )
    assert len(used) == 12
    assert used[:7] == pytest.approx([PEAK * (k + 1) / 7 for k in range(7)])
    assert used[7:] == pytest.approx([PEAK] * 5)


def test_plateau_reduces_right_after_the_validation() -> None:
    given = {"name": "reduce_on_plateau", "mode": "max", "patience": 0, "factor": 0.5}
    used, logged = train(given, max_epochs=4)  # the loss decreases, so only the first is a maximum
    assert used == pytest.approx([PEAK] * 10 + [PEAK / 2] * 5 + [PEAK / 4] * 5)
    assert logged == pytest.approx(dict(enumerate(used)))
