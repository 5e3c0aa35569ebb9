"""The self-check of a resume says what it found, with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import CONFIGS, QUIET, Run

from gdlightning.runs.check_resume import differences

MINE = """
import os
import lightning.pytorch as L
import torch


class Forgetful(L.LightningModule):
    def __init__(self, noise: bool = True) -> None:
        super().__init__()
        self.layer, self.noise, self.seen = torch.nn.Linear(4, 1), noise, 0

    def training_step(self, batch, batch_idx):
        self.seen += self.noise  # is in no checkpoint
        return (self.layer(batch) - self.seen).pow(2).mean()

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.randn(32, 4), batch_size=4, shuffle=True)
"""


def test_it_names_what_differs(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("forgetful.py").write_text(MINE)
    flags = ("--model", "forgetful.Forgetful", *QUIET, "--trainer.max_epochs", "3")
    result = gdl("fit", *flags, "--check_resume", "5")
    assert result.code == 1, result.err
    assert "Not exact:" in result.out
    assert "state_dict.layer.weight: the weights and buffers of the model" in result.out
    assert not Path("runs").exists()
    result = gdl("fit", *flags, "--model.noise", "false", "--check_resume", "5")
    assert result.code == 0, result.out + result.err
    assert "Exact: after 10 steps" in result.out


def test_bad_input_is_told(gdl: Run) -> None:
    tabular = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET)
    result = gdl("fit", *tabular, "--check_resume", "0")
    assert result.code == 2
    assert "check_resume is 0" in result.err


def test_every_leaf_is_compared() -> None:
    one = {
        "state_dict": {"w": torch.ones(2)},
        "exact": {"ranks": [{"log_ends": {"a": 1}}]},
        "loops": {"n": [1, 2]},
        "epoch": float("nan"),
    }
    other = {
        "state_dict": {"w": torch.ones(2)},
        "exact": {"ranks": [{"log_ends": {"a": 2}}]},
        "loops": {"n": [1, 2]},
        "epoch": float("nan"),
    }
    assert differences(one, other) == []
    other["loops"] = {"n": [1]}
    other["state_dict"] = {"w": torch.tensor([1.0, 1.0 + 2**-23])}
    assert differences(one, other) == ["state_dict.w", "loops.n.length", "loops.n[1]"]
