"""Third-party modules and plain networks on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import QUIET, Run

FEW = (*QUIET, "--trainer.max_steps", "4", "--loggers", "[]")
BORING = "lightning.pytorch.demos.boring_classes.BoringModel"
LAST = "runs/run/version_0/checkpoints/last.ckpt"
TABLE = ("--data", "sklearn-tabular", "--data.dataset", "wine")
MODULES = """
import lightning.pytorch as L
import torch
from torch import nn
from lightning.pytorch.demos import Transformer
from torch.utils.data import DataLoader, TensorDataset

class Plain(nn.Module):
    def __init__(self, in_features: int, num_classes: int = 7, hidden: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(),
                                    nn.Linear(hidden, num_classes))

    def forward(self, x):
        return self.layers(x)

class NextToken(L.LightningModule):  # around Lightning's demo transformer
    def __init__(self) -> None:
        super().__init__()
        self.model = Transformer(vocab_size=12, ninp=8, nhead=2, nhid=8, nlayers=1)

    def training_step(self, batch, batch_idx):
        inputs, target = batch
        return nn.functional.nll_loss(self.model(inputs, target), target.view(-1))

class Tokens(L.LightningDataModule):
    def train_dataloader(self):
        tokens = torch.randint(0, 12, (16, 6), generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(tokens[:, :-1], tokens[:, 1:]), batch_size=4)
"""


@pytest.fixture
def modules(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    import sys

    Path("brought.py").write_text(MODULES)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    sys.modules.pop("brought", None)
    return "brought"


@pytest.mark.parametrize("order", [1, -1])
def test_a_plain_network_gets_its_sizes_from_the_data(order: int, gdl: Run, modules: str) -> None:
    pair = [("--net", f"{modules}.Plain", "--net.hidden", "5"), ("--task", "classification")]
    done = gdl("fit", *(f for part in pair[::order] for f in part), *TABLE, *FEW)
    assert done.code == 0, done.err
    assert "gdl predict runs/run/version_0 --input FILE" in done.out
    weights = torch.load(LAST, weights_only=True)["state_dict"]
    assert weights["net.layers.0.weight"].shape == (5, 13)  # the features of wine
    assert weights["net.layers.2.weight"].shape == (3, 5)  # its classes, not the default of 7
    tested = gdl("test", "runs/run", "--format", "json")
    assert tested.json()["test_loss"] > 0
    again = gdl("fit", "--config", "runs/run/version_0/config.yaml", *FEW)
    assert again.code == 0, again.err


def test_text_columns_become_one_hot_for_a_network_with_one_input(gdl: Run, modules: str) -> None:
    rows = [f"{k},{'Ulm' if k % 2 else 'Bonn'},{3 * k + 10 * (k % 2)}" for k in range(40)]
    Path("homes.csv").write_text("size,town,price\n" + "\n".join(rows) + "\n")
    done = gdl(
        "fit",
        "--net",
        f"{modules}.Plain",
        "--task",
        "regression",
        "--data",
        "tabular",
        "--data.path",
        "homes.csv",
        "--data.target",
        "price",
        *FEW,
    )
    assert done.code == 0, done.err
    weights = torch.load(LAST, weights_only=True)["state_dict"]
    assert weights["net.layers.0.weight"].shape == (8, 1 + 3)  # size; missing, Bonn, Ulm
    predicted = gdl("predict", "runs/run", "--input", "homes.csv")
    assert predicted.code == 0, predicted.err
    assert len(predicted.out.splitlines()) == 41


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model", "brought.Plain"), "--net brought.Plain --task classification"),
        (("--net", "brought.Plain"), "--task classification"),
        (("--net", "brought.Plain", "--task", "custom-loss", "--model.loss", "mse_los"), "mse"),
        (("--net", "torch.nn.Bilinear", "--task", "classification"), "in1_features"),
    ],
)
def test_what_to_write(flags: tuple[str, ...], words: str, gdl: Run, modules: str) -> None:
    done = gdl("fit", *flags, *TABLE, *FEW)
    assert done.code == 2
    assert words in done.err
    assert not Path("runs").exists()


def test_predict_and_test_use_the_steps_and_loaders_of_a_module(gdl: Run) -> None:
    done = gdl("fit", "--model", BORING, *FEW)
    assert done.code == 0, done.err
    assert "gdl predict runs/run/version_0 --output predictions.csv" in done.out
    predicted = gdl("predict", "runs/run")
    assert predicted.code == 0, predicted.err
    assert predicted.out.splitlines()[0] == "prediction_0,prediction_1"
    assert len(predicted.out.splitlines()) == 1 + 64
    assert "test_step logged no metrics" in gdl("test", "runs/run").out
    refused = gdl("predict", "runs/run", "--input", "x.csv")
    assert refused.code == 2
    assert "no method read(path)" in refused.err
    assert "Leave --input out" in refused.err


def test_what_a_module_lacks_is_told_and_not_offered(gdl: Run, modules: str) -> None:
    done = gdl("fit", "--model", f"{modules}.NextToken", "--data", f"{modules}.Tokens", *FEW)
    assert done.code == 0, done.err
    assert "Use it" not in done.out
    predicted = gdl("predict", "runs/run", "--output", "p.csv")
    assert predicted.code == 2
    assert "NextToken cannot predict: it defines neither predict_step nor forward" in predicted.err
    tested = gdl("test", "runs/run")
    assert tested.code == 2
    assert "NextToken cannot be tested: it defines no test_step" in tested.err


def test_an_empty_diagnosis_is_said_as_what_it_is(gdl: Run) -> None:
    done = gdl("fit", "--model", "tabular-classification", *TABLE, *FEW)
    words = "No findings: the run has 4 steps so far, and most findings need about 50."
    assert words in done.out
    assert words in gdl("diagnose", "runs/run").out
    journal = Path("runs/run/version_0/instruments.jsonl")
    journal.write_text(journal.read_text().splitlines()[0] + "\n")  # stopped before a step
    told = gdl("diagnose", "runs/run")
    assert told.code == 2
    assert "no step was measured" in told.err
    assert "monitor.every" not in told.err
