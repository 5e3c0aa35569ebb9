"""A training by command: its run folder, its config, its logs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from helpers import CONFIGS, QUIET, Run, metrics

SHORT = ("--trainer.max_epochs", "3")


def test_leaves_a_run_folder_whose_config_re_runs_it(fit: Run, gdl: Run) -> None:
    fit("tabular", *SHORT)
    folder = Path("runs/tabular/version_0")
    config = folder / "config.yaml"
    assert yaml.safe_load(config.read_text())["optimizer"]["name"] == "adamw"
    assert list(folder.glob("events.out.tfevents.*"))
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert gdl("fit", "--config", str(config), *QUIET).code == 0
    assert metrics("tabular", 1) == metrics("tabular", 0)


def test_a_name_starts_its_section_afresh(gdl: Run) -> None:
    tabular = str(CONFIGS / "tabular.yaml")

    def resolved(*flags: str) -> dict[str, object]:
        result = gdl("fit", "--config", tabular, *flags, "--print_config")
        found: dict[str, object] = yaml.safe_load(result.out)["optimizer"]
        return found

    assert resolved()["weight_decay"] == 0.1
    sgd = resolved("--optimizer.lr", "3e-4", "--optimizer", "sgd")
    assert (sgd["name"], sgd["lr"], sgd["momentum"], sgd["nesterov"]) == ("sgd", 0.1, 0.9, True)
    assert sgd["weight_decay"] != 0.1
    assert resolved("--optimizer", "AdamW")["lr"] == 1e-3  # the same by another spelling
    assert resolved("--optimizer", "AdamW")["weight_decay"] == 0.1
    assert resolved("--optimizer.betas", "0.9,0.95")["betas"] == [0.9, 0.95]


def test_logs_what_the_optimizer_did(fit: Run) -> None:
    fit("tabular", *SHORT, "--trainer.log_every_n_steps", "1")
    with Path("runs/tabular/version_0/metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    steps = [r for r in rows if r["grad_norm"]]
    assert [int(r["step"]) for r in steps] == list(range(39))
    lrs = [float(r["lr/adamw/matrix-decay+output-decay"]) for r in steps]
    assert max(lrs) == pytest.approx(1e-3, rel=0.02)
    assert lrs[0] == pytest.approx(1e-3 / 5)  # a warm-up of 4 steps
    assert lrs[-1] == pytest.approx(0.0, abs=1e-9)
    assert all(float(r["effective_batch_size"]) == 32 for r in steps[:12])
    assert all(0 < float(r["update_ratio"]) < 1 for r in steps[:-1])
    assert {r["val_loss"] for r in rows if r["val_loss"]}


@pytest.mark.parametrize(("limit", "steps"), [("max_epochs", [12, 25]), ("max_steps", [1])])
def test_a_short_run_is_logged_at_least_once_an_epoch(
    fit: Run, limit: str, steps: list[int]
) -> None:
    fit("tabular", f"--trainer.{limit}", "2")  # 13 steps an epoch; logged every 50 otherwise
    with Path("runs/tabular/version_0/metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for name in ("train_loss", "grad_norm"):
        logged = [int(row["step"]) for row in rows if row[name]]
        assert [step for step in logged if step > 0] == steps, name


def test_tensorboard_has_all_that_is_promised(fit: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit("vision", "--trainer.max_epochs", "1", "--watch.histograms", "true")
    scalars: set[str] = set()
    images: set[str] = set()
    histograms: set[str] = set()
    tensors: set[str] = set()
    graph = False
    for file in Path("runs/vision/version_0").glob("events.out.tfevents.*"):
        events = EventAccumulator(str(file))
        events.Reload()
        tags = events.Tags()
        scalars |= set(tags["scalars"])
        images |= set(tags["images"])
        histograms |= set(tags["histograms"])
        tensors |= set(tags["tensors"])
        graph = graph or bool(tags["graph"])
    assert {
        "train_loss",
        "val_loss",
        "val_accuracy",
        "test_accuracy",
        "grad_norm",
        "update_ratio",
        "examples_per_second",
        "effective_batch_size",
    } <= scalars
    assert any(tag.startswith("lr/") for tag in scalars)
    assert "predictions" in images
    assert any(tag.startswith("weights/") for tag in histograms)
    assert any(tag.startswith("parameter groups") for tag in tensors)
    assert graph


def test_fine_tuning_starts_from_weights_and_freezes(fit: Run) -> None:
    import torch

    fit("tabular", *SHORT, "--name", "first")
    result = fit(
        "tabular",
        *SHORT,
        "--name",
        "tuned",
        "--init_from",
        "runs/first/version_0",
        "--groups.freeze",
        "net.layers.*",
    )
    assert "Starting from" in result.out
    before, after = (
        torch.load(f"runs/{n}/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for n in ("first", "tuned")
    )
    assert torch.equal(before["net.layers.0.weight"], after["net.layers.0.weight"])
    assert not torch.equal(before["net.head.weight"], after["net.head.weight"])


def test_a_module_from_elsewhere_trains_unedited(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("elsewhere.py").write_text(
        """
import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader, TensorDataset

class Line(L.LightningModule):
    def __init__(self, width: int = 4):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Linear(width, 1))
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = (self.net(x) - y).square().mean()
        self.log("train_loss", loss)
        return loss
    def configure_optimizers(self):
        raise RuntimeError("must not be called")

class Points(L.LightningDataModule):
    def train_dataloader(self):
        x = torch.linspace(-1, 1, 64)[:, None]
        return DataLoader(TensorDataset(x, 2 * x), batch_size=16)
"""
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    for optimizer in ("adamw", "muon", "sam"):
        result = gdl(
            "fit",
            "--model",
            "elsewhere.Line",
            "--data",
            "elsewhere.Points",
            "--model.width",
            "8",
            "--optimizer",
            optimizer,
            "--optimizer.lr",
            "0.05",
            "--trainer.max_epochs",
            "20",
            "--name",
            optimizer,
            *QUIET,
        )
        assert result.code == 0, result.err
        assert metrics(optimizer)["train_loss"] < 0.1
