"""The measured Hessian is that of the loss, and the run is not changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from helpers import CONFIGS, QUIET, Run
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.callbacks.monitor import Monitor
from gdlightning.callbacks.sharpness import Sharpness
from gdlightning.diagnostics.checks import curvature
from gdlightning.diagnostics.diagnose import diagnose
from gdlightning.diagnostics.run_record import RunRecord

torch.set_num_threads(1)
LR = 0.05


class Line(L.LightningModule):
    """Linear regression with input dropout, whose loss is quadratic in the weights."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout, self.line = nn.Dropout(dropout), nn.Linear(5, 1, bias=False)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss: Tensor = (self.line(self.dropout(batch[0])) - batch[1]).square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=LR, momentum=0.9)


def fit(every: int, dropout: float = 0.0, batch_size: int = 40, **options: Any) -> Any:
    torch.manual_seed(0)
    module = Line(dropout).double()
    x = torch.randn(40, 5, dtype=torch.float64)
    data = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=batch_size)
    monitor = Monitor(curvature=every)
    callbacks = [monitor, Sharpness(monitor)] if every else []
    L.Trainer(
        max_steps=30,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    ).fit(module, data)
    return module, monitor.record, x


@pytest.mark.parametrize("pieces", [1, 4], ids=["whole", "accumulated"])
def test_it_is_the_hessian_of_the_steps_batches(pieces: int) -> None:
    _, record, x = fit(10, batch_size=40 // pieces, accumulate_grad_batches=pieces)
    exact = torch.linalg.eigvalsh(2 / 40 * x.T @ x)
    assert list(record.sharpness) == [0, 10, 20]
    for found in record.sharpness.values():
        assert found["largest"] == pytest.approx(float(exact[-1]), rel=1e-5)
        assert found["smallest"] == pytest.approx(float(exact[0]), rel=1e-5)
        assert found["times_lr"] == pytest.approx(LR * float(exact[-1]), rel=1e-5)
        assert found["limit"] == pytest.approx(3.8)


def test_training_is_the_same_with_and_without() -> None:
    (watched, record, _), (alone, _, _) = fit(4, dropout=0.3), fit(0, dropout=0.3)
    assert len(record.sharpness) == 8
    assert torch.equal(watched.line.weight, alone.line.weight)


def test_a_flag_enables_it_and_its_values_are_reported(gdl: Run) -> None:
    run = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--data.batch_size",
        "full",
        "--model.net.dropout",
        "0",
        "--model.net.hidden",
        "[32]",
        "--model.net.activation",
        "tanh",
        "--optimizer",
        "gd",
        "--optimizer.lr",
        "0.6",
        "--schedule",
        "constant",
        "--clip",
        "none",
        "--trainer.max_epochs",
        "120",
        "--monitor.curvature",
        "10",
    )
    assert run.code == 0, run.err
    folder = next(Path("runs").glob("*/version_0"))
    record = RunRecord.read(folder)
    assert list(record.sharpness) == list(range(0, 120, 10))
    names = {v.name for v in diagnose(record)}
    last = [s["times_lr"] for s in list(record.sharpness.values())[-4:]]
    at_edge = all(p is not None and p > 0.8 * 2 for p in last)
    assert ("edge-of-stability" in names) == at_edge


def test_the_edge_of_stability_verdict_uses_the_measurements() -> None:
    def record(product: float) -> RunRecord:
        found = RunRecord(losses=[1.0] * 90, start={"steps": 90, "layers": []})
        found.sharpness = {
            s: {
                "largest": 1.0,
                "smallest": 0.0,
                "times_lr": product if s > 20 else 0.1,
                "limit": 2.0,
            }
            for s in range(0, 90, 5)
        }
        return found

    (verdict,) = curvature.find(record(1.9))
    assert verdict.name == "edge-of-stability"
    assert "step 25" in verdict.title
    assert "95%" in verdict.evidence[0]
    assert not list(curvature.find(record(1.0)))


def test_invalid_options_are_an_error_before_the_first_step(gdl: Run) -> None:
    config = str(CONFIGS / "tabular.yaml")
    for flags, words in (
        (("--monitor.curvature", "-1"), "monitor.curvature must be at least 0 (got -1"),
        (("--monitor.curvature", "5", "--monitor.every", "0"), "monitor.every is 0"),
        (("--monitor.curvature", "5", "--compile", "true"), "compiled model"),
    ):
        run = gdl("fit", "--config", config, *QUIET, *flags)
        assert run.code == 2
        assert words in run.err
    assert not Path("runs").exists()
