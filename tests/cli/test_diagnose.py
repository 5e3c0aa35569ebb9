"""``gdl diagnose`` and the verdicts at the end of ``gdl fit``, on real trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

FLAGS = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--schedule", "constant")
RUN = Path("runs/tabular/version_0")


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("lr-too-small", ("--optimizer.lr", "1e-6")),
        ("lr-too-large", ("--optimizer", "sgd", "--optimizer.lr", "20", "--clip.max_norm", "0.9")),
        ("lr-fine", ("--optimizer.lr", "3e-3")),
    ],
)
def test_the_learning_rate_is_judged(name: str, flags: tuple[str, ...], gdl: Run) -> None:
    done = gdl("fit", *FLAGS, *flags)
    assert done.code == 0
    verdicts = json.loads((RUN / "verdicts.json").read_text())
    assert name in {v["name"] for v in verdicts}
    again = gdl("diagnose", str(RUN), "--format", "json")
    assert again.code == 0
    assert again.json() == verdicts
    told = next(v for v in verdicts if v["name"] == name)
    assert told["title"][:40] in done.out
    board = EventAccumulator(str(RUN))
    board.Reload()
    assert "verdicts/text_summary" in board.Tags()["tensors"]


def test_a_run_is_drawn_and_explained(gdl: Run) -> None:
    gdl("fit", *FLAGS, "--trainer.max_steps", "60")
    done = gdl("diagnose", "runs/tabular", "--png", "run.png")
    assert done.code == 0
    assert "60 of 60 steps" in done.out
    assert Path("run.png").stat().st_size > 20_000


def test_a_training_that_fails_leaves_its_verdicts(gdl: Run) -> None:
    done = gdl("fit", *FLAGS, "--optimizer", "sgd", "--optimizer.lr", "1e6", "--clip", "none")
    assert done.code == 3
    assert "diverged" in {v["name"] for v in json.loads((RUN / "verdicts.json").read_text())}


def test_without_a_monitor_there_is_nothing_to_say(gdl: Run) -> None:
    gdl("fit", *FLAGS, "--trainer.max_steps", "5", "--monitor.every", "0")
    assert not (RUN / "verdicts.json").exists()
    assert not (RUN / "instruments.jsonl").exists()
    done = gdl("diagnose", str(RUN))
    assert done.code == 2
    assert "no measurements" in done.err
    missing = gdl("diagnose", "runs/tabulr")
    assert missing.code == 2
    assert "runs/tabular" in missing.err


def test_help_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from gdlightning.__main__ import main\n"
        "try: main(['diagnose', '--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


def test_bits_are_the_same_with_and_without_the_monitor(gdl: Run) -> None:
    import torch

    for name, every in (("on", "3"), ("off", "0")):
        gdl("fit", *FLAGS, "--trainer.max_steps", "40", "--name", name, "--monitor.every", every)
    on, off = (
        torch.load(f"runs/{n}/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for n in ("on", "off")
    )
    assert all(torch.equal(v, on[k]) for k, v in off.items())
