"""Early stopping by ``--patience``."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import CONFIGS, QUIET, Run

RUN = Path("runs/tabular/version_0")
LOGGED = """
import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader, TensorDataset

VALUES = [3.0, 2.0, 1.0, 4.0, 5.0, 0.5, 7.0, 8.0, 9.0, 9.0]


class Model(L.LightningModule):
    def __init__(self, metric: str = "val/loss") -> None:
        super().__init__()
        self.metric, self.layer = metric, torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).mean()

    def validation_step(self, batch, batch_idx):
        self.log(self.metric, VALUES[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)

    def val_dataloader(self):
        return self.train_dataloader()
"""


@pytest.fixture
def model(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    Path("logged.py").write_text(LOGGED)
    monkeypatch.syspath_prepend(Path.cwd())
    return (
        "fit",
        "--model",
        "logged.Model",
        *QUIET,
        "--monitor.every",
        "0",
        "--name",
        "tabular",
        "--trainer.num_sanity_val_steps",
        "0",
        "--trainer.max_epochs",
        "10",
    )


def test_a_run_stops_and_reports_its_best_epoch(gdl: Run, model: tuple[str, ...]) -> None:
    result = gdl(*model, "--patience", "2")
    assert result.code == 0, result.err
    assert (
        "Stopped early after epoch 5 (step 10): val/loss did not improve for 2 vali" in result.out
    )
    assert "Best: epoch 3 (step 6), val/loss 1." in result.out
    assert (RUN / "checkpoints/best-epoch=2-step=6.ckpt").is_file()
    assert "patience: 2" in (RUN / "config.yaml").read_text()


def test_a_resumed_run_continues_to_count(gdl: Run, model: tuple[str, ...]) -> None:
    assert gdl(*model, "--patience", "3", "--stop_after", "9").code == 75  # within epoch 5
    result = gdl("fit", "--resume", str(RUN), "--stop_after", "100")
    assert result.code == 0, result.err
    assert "Stopped early after epoch 9 (step 18)" in result.out
    assert "Best: epoch 6 (step 12), val/loss 0.5." in result.out
    assert torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 18


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model.metric", "score"), "the metric val_loss is not logged"),
        (("--trainer.limit_val_batches", "0"), "trainer.limit_val_batches is 0"),
        (("--patience", "0"), "patience must be at least 1"),
    ],
)
def test_what_cannot_stop_a_run_is_an_error(
    gdl: Run, model: tuple[str, ...], flags: tuple[str, ...], words: str
) -> None:
    result = gdl(*model, "--patience", "2", *flags)
    assert result.code == 2
    assert words in result.err


def test_data_without_a_validation_part_is_an_error(gdl: Run) -> None:
    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--patience",
        "2",
        "--data.val_fraction",
        "0",
    )
    assert result.code == 2
    assert "there is no validation data" in result.err
    assert not Path("runs").exists()
