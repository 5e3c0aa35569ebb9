"""Our loop makes the same calls, counters, logs, checkpoints and weights as Lightning's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

import gdlightning as gdl
from gdlightning.data.loader import TensorRows
from gdlightning.engine.epoch_loop import EpochLoop

COUNT = 50


def points() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(COUNT, 6, generator=generator)
    return x, (x[:, 0] > 0).long()


class Points(gdl.DataModule):
    """Data of 50 points, of which 30 are for training."""

    def load(self) -> dict[str, Any]:
        x, y = points()
        return {"train": TensorRows(x[:30], y[:30]), "val": TensorRows(x[30:], y[30:])}


class Classes(gdl.Task):
    """Task of gdlightning, with dropout and metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found

    def metrics(self) -> dict[str, Metric]:
        return {"accuracy": MulticlassAccuracy(2)}

    def loss(self, batch: Any) -> Tensor:
        logits = self(batch[0])
        self.observe(logits, batch[1])
        return nn.functional.cross_entropy(logits, batch[1])


class ThirdParty(L.LightningModule):
    """Third-party module with custom logs, hooks and outputs."""

    def __init__(self, output: str = "loss", stops_at: int | None = None) -> None:
        super().__init__()
        self.net, self.output, self.stops_at = nn.Linear(6, 2), output, stops_at
        self.seen: list[str] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("both", loss, on_step=True, on_epoch=True, prog_bar=True)
        self.log("epoch", loss * 2, on_step=False, on_epoch=True)
        if self.output == "dict":
            return {"loss": loss, "extra": loss.detach() + 1}
        if self.output == "none" and batch_idx % 2:
            return None
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def on_before_zero_grad(self, optimizer: Any) -> None:
        self.seen.append("zero_grad")

    def on_after_backward(self) -> None:
        self.seen.append("after_backward")
        self.log("from_a_hook", float(len(self.seen)))


class StopsAnEpoch(ThirdParty):
    """Ends each epoch at the third batch, which Lightning allows."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        return -1 if batch_idx == 2 else None


class Trace(L.Callback):
    """Records all calls with their counters, outputs and readable values."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def _note(self, name: str, trainer: L.Trainer, *more: Any) -> None:
        loop = trainer.fit_loop.epoch_loop
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.calls.append(
            (
                name,
                trainer.global_step,
                trainer.current_epoch,
                loop.batch_idx,
                trainer.is_last_batch,
                metrics,
                lr,
                *more,
            )
        )

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self._note("start", trainer, batch_idx, float(batch[0].sum()))

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self._note("zero_grad", trainer)

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
        self._note("before_backward", trainer, float(loss))

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        self._note("after_backward", trainer)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self._note("before_step", trainer)
        pl_module.log("of_a_callback", float(trainer.global_step))

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._note("end", trainer, {k: float(v) for k, v in outputs.items()})

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._note("validated", trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._note("epoch", trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._note("train_end", trainer)


def loaders() -> tuple[Any, Any]:
    x, y = points()
    return (
        DataLoader(TensorDataset(x[:30], y[:30]), batch_size=4),
        DataLoader(TensorDataset(x[30:], y[30:]), batch_size=20),
    )


MODULES = {
    "task": (Classes, True),
    "foreign": (ThirdParty, False),
    "foreign, our data": (ThirdParty, True),
    "dict": (lambda: ThirdParty("dict"), False),
    "none": (lambda: ThirdParty("none"), False),
    "stops an epoch": (StopsAnEpoch, False),
}
TRAINERS: dict[str, dict[str, Any]] = {
    "plain": {"max_epochs": 3},
    "steps": {"max_steps": 11},
    "accumulation": {"max_epochs": 3, "accumulate_grad_batches": 3},
    "validation within": {"max_epochs": 2, "val_check_interval": 3},
    "every second": {"max_epochs": 4, "check_val_every_n_epoch": 2},
    "a part": {"max_epochs": 2, "limit_train_batches": 5},
    "bf16": {"max_epochs": 2, "precision": "bf16-mixed"},
    "float64": {"max_epochs": 2, "precision": "64-true"},
    "bf16 weights": {"max_epochs": 2, "precision": "bf16-true"},
    "no sanity check": {"max_epochs": 2, "num_sanity_val_steps": 0},
    "a trial": {"fast_dev_run": 3},
}


def train(module: Any, ours: bool, folder: Path, lean: bool, **options: Any) -> tuple[Any, ...]:
    """Return the calls, weights, logs and counters of a run, and whether it used our loop."""
    torch.manual_seed(1)
    trace, optimizer = Trace(), options.pop("optimizer", "adamw")
    made = module()
    gdl.optimize(made, optimizer, schedule={"name": "cosine", "warmup": 2}, clip=0.5)
    trainer = L.Trainer(
        accelerator="cpu",
        log_every_n_steps=2,
        logger=CSVLogger(folder, flush_logs_every_n_steps=1),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[trace, *options.pop("callbacks", [])],
        **options,
    )
    if lean:
        EpochLoop.install(trainer)
    torch.manual_seed(2)
    if ours:
        trainer.fit(made, datamodule=Points(batch_size=4))
    else:
        trainer.fit(made, *loaders())
    table = folder / "lightning_logs" / "version_0" / "metrics.csv"
    return (
        trace.calls,
        {k: v.clone() for k, v in made.state_dict().items()},
        table.read_text() if table.is_file() else "",
        trainer.fit_loop.state_dict(),
        getattr(made, "seen", None),
        getattr(trainer.fit_loop.epoch_loop, "_plan", None) is not None,
    )


def compare(one: tuple[Any, ...], other: tuple[Any, ...], lean: bool = True) -> None:
    calls, weights, *rest, was_lean = one
    assert was_lean == lean
    for mine, theirs in zip(calls, other[0], strict=True):
        assert mine == theirs
    assert all(torch.equal(v, other[1][k]) for k, v in weights.items())
    assert rest == list(other[2:-1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", TRAINERS)
@pytest.mark.parametrize("module", MODULES)
def test_results_equal_those_of_lightnings_loop(module: str, options: str, tmp_path: Path) -> None:
    made, ours = MODULES[module]
    lean, own = (
        train(made, ours, tmp_path / str(way), way, **TRAINERS[options]) for way in (True, False)
    )
    compare(lean, own, lean=made is not StopsAnEpoch)
    assert len(own[0]) > 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer", ["lbfgs", "sam", "adahessian", "schedule-free-adamw", "muon"])
def test_optimizers_with_needs_give_equal_results(optimizer: str, tmp_path: Path) -> None:
    lean, own = (
        train(Classes, True, tmp_path / str(way), way, max_epochs=2, optimizer=optimizer)
        for way in (True, False)
    )
    compare(lean, own, lean=optimizer in ("schedule-free-adamw", "muon"))


@pytest.mark.filterwarnings("ignore")
def test_early_stopping_within_an_epoch(tmp_path: Path) -> None:
    lean, own = (
        train(
            Classes,
            True,
            tmp_path / str(way),
            way,
            max_epochs=9,
            val_check_interval=2,
            callbacks=[EarlyStopping("val_loss", patience=0, min_delta=9.0)],
        )
        for way in (True, False)
    )
    compare(lean, own)
    assert own[0][-1][1] < 20


@pytest.mark.filterwarnings("ignore")
def test_a_hook_that_is_added_later_is_called(tmp_path: Path) -> None:
    late = Trace()

    class Adds(L.Callback):
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step == 3:
                trainer.callbacks.append(late)

    train(Classes, True, tmp_path, True, max_epochs=1, callbacks=[Adds()])
    assert [c[1] for c in late.calls if c[0] == "start"] == [3, 4, 5, 6, 7]
