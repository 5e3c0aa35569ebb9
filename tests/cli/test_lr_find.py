"""``gdl lr-find``: on configs of this package and of elsewhere, and what it writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from helpers import CONFIGS, QUIET, Run, metrics

SHORT = ("--steps", "60", *QUIET)
CONFIG = """\
# small
name: small   # the run
model: {name: tabular-classification, net: {name: mlp, hidden: [16]}}
data: {name: sklearn-tabular, dataset: wine}
optimizer:
  name: adamw
  lr: 1e-6    # a guess
trainer: {max_epochs: 8}
"""
FOREIGN = """
import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset


class Net(L.LightningModule):
    def __init__(self, manual: bool = False):
        super().__init__()
        self.net = torch.nn.Linear(3, 1)
        self.automatic_optimization = not manual

    def training_step(self, batch, batch_idx):
        return {"loss": ((self.net(batch[0]) - batch[0].sum(1, keepdim=True)) ** 2).mean()}


class Data(L.LightningDataModule):
    def train_dataloader(self):
        x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(x), batch_size=8, shuffle=True)
"""


@pytest.fixture
def config(gdl: Run) -> str:
    """A config in the folder that the test runs in."""
    Path("small.yaml").write_text(CONFIG)
    return "small.yaml"


def test_what_it_says(gdl: Run, config: str) -> None:
    said = gdl("lr-find", "--config", config, *SHORT)
    assert said.code == 0, said.err
    found: dict[str, Any] = gdl("lr-find", "--config", config, *SHORT, "--format", "json").json()
    assert (
        f"Suggested learning rate: {found['point']:g}. Values from {found['low']:g} to" in said.out
    )
    assert f"Write optimizer.lr: {found['point']:g} (now 1e-06)" in said.out
    assert "●" in said.out
    assert found["low"] < found["point"] < found["high"] <= 1.0
    assert (found["optimizer"], found["key"]) == ("adamw", "optimizer.lr")
    assert (found["now"], found["applied"]) == (1e-6, None)
    curve = found["curve"]
    assert len(curve["lr"]) == len(curve["loss"]) > 30
    assert min(v for v in curve["loss"] if v is not None) < curve["start"]
    assert os.listdir() == [config]  # no run is left behind
    assert Path(config).read_text() == CONFIG


def test_apply_changes_one_number_and_training_is_better_for_it(gdl: Run, config: str) -> None:
    assert gdl("fit", "--config", config, *QUIET).code == 0
    said = gdl("lr-find", "--config", config, *QUIET, "--apply", "--png", "curve.png")
    assert said.code == 0, said.err
    assert Path("curve.png").read_bytes()[:4] == b"\x89PNG"
    old, new = CONFIG.splitlines(), Path(config).read_text().splitlines()
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    ((before, after),) = changed
    assert before == "  lr: 1e-6    # a guess"
    written = after.removeprefix("  lr: ").removesuffix("    # a guess")
    assert f"Wrote optimizer.lr: {written} to {config} (now 1e-06)." in said.out
    assert gdl("fit", "--config", config, *QUIET).code == 0
    assert metrics("small", 1)["test_loss"] < 0.5 * metrics("small", 0)["test_loss"]


def test_another_optimizer_by_flag(gdl: Run, config: str) -> None:
    points = {
        name: gdl(
            "lr-find", "--config", config, *SHORT, "--format", "json", "--optimizer", name
        ).json()["point"]
        for name in ("sgd", "lion")
    }
    assert points["sgd"] > points["lion"]
    said = gdl("lr-find", "--config", config, *SHORT, "--optimizer", "sgd", "--apply")
    assert said.code == 2
    assert "trains with adamw, but sgd was tested" in said.err
    assert Path(config).read_text() == CONFIG


@pytest.mark.parametrize("family", ["tabular_regression", "transformer"])
def test_shipped_configs(gdl: Run, family: str) -> None:
    small = {
        "transformer": (
            "--model.net.width",
            "16",
            "--model.net.depth",
            "1",
            "--data.context",
            "32",
            "--data.batch_size",
            "4",
        )
    }
    said = gdl(
        "lr-find",
        "--config",
        str(CONFIGS / f"{family}.yaml"),
        *SHORT,
        *small.get(family, ()),
        "--format",
        "json",
    )
    assert said.code == 0, said.err
    assert 1e-4 < said.json()["point"] < 1


def test_modules_and_data_from_elsewhere(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("elsewhere_found.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(os.getcwd())
    config = Path("own.yaml")
    config.write_text("model: elsewhere_found.Net\ndata: {name: elsewhere_found.Data}\n")
    said = gdl("lr-find", "--config", str(config), *SHORT, "--optimizer", "sgd")
    assert said.code == 0, said.err
    said = gdl("lr-find", "--config", str(config), *SHORT, "--apply")
    assert said.code == 0, said.err
    assert "optimizer: {lr: " in config.read_text()
    said = gdl("lr-find", "--config", str(config), *SHORT, "--model.manual", "true")
    assert said.code == 2
    assert "uses manual optimization" in said.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--config", "nowhere.yaml"), "There is no config file nowhere.yaml"),
        (("--png", "curve.gif"), "--png curve.gif: write a file that ends in"),
        (("--png", "nowhere/curve.png"), "the folder does not exist"),
        (("--steps", "3"), "steps must be at least 40"),
        (("--steps", "many"), "invalid int value"),
        (("--lr_min", "0"), "lr_min must be positive"),
        (("--lr_min", "nan"), "lr_min must be positive"),
        (("--lr_max", "1e-9"), "smaller than lr_max"),
        (("--optimizr", "sgd"), "Did you mean optimizer?"),
        (("--optimizer", "prodigy"), "estimates its learning rate"),
        (("--optimizer", "adamw", "--optimizer.betas", "2"), "betas"),
        (("--data.dataset", "wien"), "wine"),
    ],
)
def test_bad_input_is_refused(gdl: Run, config: str, flags: tuple[str, ...], words: str) -> None:
    said = gdl("lr-find", "--config", config, *SHORT, *flags, "--apply")
    assert said.code == 2
    assert words in said.err
    assert "Traceback" not in said.err
    assert os.listdir() == [config]
    assert Path(config).read_text() == CONFIG


def test_a_config_is_needed(gdl: Run) -> None:
    said = gdl("lr-find")
    assert said.code == 2
    assert "--config" in said.err
