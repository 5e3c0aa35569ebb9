"""The line at the start of a run, ``--dry_run`` and ``--quiet``."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run

TABULAR = ("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--monitor.every", "0")
# 456 examples without the test split, 10% of them for validation: 411, in 13 batches of 32.
LINE = "Training tabular-classification ({}) on cpu, {} examples per step, {}."


def test_a_dry_run_prints_the_plan_and_writes_nothing(gdl: Run) -> None:
    result = gdl(*TABULAR, "--dry_run", "--patience", "4")
    assert result.code == 0, result.err
    assert LINE.format("6,274 parameters", 32, "260 steps (20 epochs)") in result.out
    assert "Schedule:     cosine, peak learning rate 0.001, warmup 0.1\n" in result.out
    assert "Checkpoints:  every 60 s, the last 3 and the best val_loss\n" in result.out
    assert "Patience:     4 validations" in result.out
    assert "Run folder:   runs/tabular/version_0 (new)\n" in result.out
    assert list(Path().iterdir()) == []


def test_a_dry_run_finds_what_only_the_trainer_finds(gdl: Run) -> None:
    result = gdl(*TABULAR, "--dry_run", "--trainer.accelerator", "tpu")
    assert result.code == 2
    assert list(Path().iterdir()) == []


def test_a_dry_run_of_a_resume_leaves_the_run_unchanged(gdl: Run) -> None:
    assert gdl(*TABULAR, "--stop_after", "3").code == 75
    before = {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()}
    result = gdl("fit", "--resume", "runs/tabular/version_0", "--dry_run")
    assert result.code == 0, result.err
    assert "Run folder:   runs/tabular/version_0 (resumed from last.ckpt)" in result.out
    assert {p: p.read_bytes() for p in Path("runs").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("flags", "examples", "length"),
    [
        (("--trainer.max_steps", "3"), 32, "3 steps (0.231 epochs)"),
        (
            ("--trainer.max_epochs", "1", "--trainer.accumulate_grad_batches", "4"),
            128,
            "4 steps (1 epoch)",
        ),
        (("--trainer.max_epochs", "1", "--data.micro_batch_size", "8"), 32, "13 steps (1 epoch)"),
    ],
)
def test_the_start_line_counts_examples_and_steps(
    gdl: Run, flags: tuple[str, ...], examples: int, length: str
) -> None:
    result = gdl(*TABULAR, *flags, "--dry_run")
    assert LINE.format("6,274 parameters", examples, length) in result.out


def test_a_run_prints_it_and_a_quiet_one_only_its_folder(gdl: Run) -> None:
    result = gdl(*TABULAR, "--trainer.max_steps", "2")
    assert "on cpu, 32 examples per step, 2 steps" in result.out
    result = gdl(*TABULAR, "--trainer.max_steps", "2", "--quiet")
    assert (result.out, result.err) == ("Run folder:  runs/tabular/version_1\n", "")
    result = gdl(*TABULAR, "--trainer.max_steps", "2", "--quiet", "--optimizer.lr", "-1")
    assert result.code == 2
    assert "lr" in result.err
