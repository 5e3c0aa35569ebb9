"""Best weights by default, last ones or a file on request, and a line that says which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers import Run

RUN = Path("runs/tabular/version_0")
OVERFITS = ("--optimizer.lr", "1e-2", "--trainer.max_epochs", "3", "--loggers", "[]")


@pytest.fixture
def overfitted(fit: Run) -> Path:
    """Return the best checkpoint of a run whose last weights are not its best."""
    fit("tabular", *OVERFITS)
    best = next(RUN.glob("checkpoints/best-*.ckpt"))
    weights = [
        torch.load(p, weights_only=True)["state_dict"]["net.head.weight"]
        for p in (best, RUN / "checkpoints" / "last.ckpt")
    ]
    assert not torch.equal(*weights)
    return best


def test_verbs_use_the_best_weights(overfitted: Path, gdl: Run) -> None:
    best = gdl("test", "runs/tabular", "--format", "json")
    assert f"Using the best checkpoint (step {step(overfitted)}" in best.err
    assert str(overfitted) in best.err
    assert best.json() == gdl("test", str(overfitted), "--format", "json").json()
    last = gdl("test", "runs/tabular", "--checkpoint", "last", "--format", "json")
    assert "Using the last checkpoint (step 39" in last.err
    assert last.json()["test_loss"] != best.json()["test_loss"]
    named = gdl("test", "runs/tabular", "--checkpoint", overfitted.stem, "--format", "json")
    assert named.json() == best.json()
    stored = json.loads((RUN / "metrics.json").read_text())
    assert {k: v for k, v in stored.items() if k.startswith("test_")} == best.json()


def step(best: Path) -> int:
    return int(best.stem.rpartition("=")[2])


def test_export_and_curvature_too(overfitted: Path, gdl: Run) -> None:
    from safetensors.torch import load_file

    for which, path in (("best", overfitted), ("last", RUN / "checkpoints" / "last.ckpt")):
        done = gdl("export", "runs/tabular", "--output", "w.safetensors", "--checkpoint", which)
        assert done.code == 0, done.err
        weights = torch.load(path, weights_only=True)["state_dict"]["net.head.weight"]
        assert torch.equal(load_file("w.safetensors")["net.head.weight"], weights)
    small = ("--top", "1", "--bottom", "0", "--steps", "4", "--probes", "2", "--format", "json")
    done = gdl("curvature", "runs/tabular", *small)
    assert f"best checkpoint (step {step(overfitted)}" in done.err
    done = gdl("curvature", "runs/tabular", *small, "--checkpoint", "last")
    assert "last checkpoint (step 39" in done.err


def test_what_there_is_not(finished_run: Path, gdl: Run) -> None:
    for arguments, word in (
        (("--checkpoint", "previous-9"), "previous-1.ckpt"),
        (("--checkpoint", "bestt"), "Use best, last"),
    ):
        done = gdl("test", str(finished_run), *arguments)
        assert done.code == 2
        assert word in done.err
    last = str(finished_run / "checkpoints" / "last.ckpt")
    assert "is a checkpoint already" in gdl("test", last, "--checkpoint", "best").err


def test_without_a_validation_there_is_no_best(fit: Run, gdl: Run) -> None:
    fit("tabular", "--data.val_fraction", "0", "--trainer.max_steps", "3", "--loggers", "[]")
    done = gdl("test", "runs/tabular")
    assert done.code == 0
    assert "Using the last checkpoint (step 3): no best one was kept" in done.err
    refused = gdl("test", "runs/tabular", "--checkpoint", "best")
    assert refused.code == 2
    assert "--checkpoint last" in refused.err


def test_a_damaged_best_checkpoint_is_skipped(overfitted: Path, gdl: Run) -> None:
    overfitted.write_bytes(overfitted.read_bytes()[:-400])
    done = gdl("test", "runs/tabular")
    assert done.code == 0
    assert "Skipping" in done.err
    assert "last checkpoint" in done.err
    assert gdl("test", "runs/tabular", "--checkpoint", "best").code == 2
