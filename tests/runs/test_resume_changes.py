"""Options that differ from the checkpoint's take effect, or are refused in words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CONFIGS, QUIET, Run

RUN = Path("runs/tabular/version_0")
SHORT = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--monitor.every", "0")


def fit(gdl: Run, *flags: str, code: int = 0) -> str:
    result = gdl("fit", *SHORT, *flags)
    assert result.code == code, result.err
    return result.out + result.err


def stopped(gdl: Run, *flags: str) -> dict[str, bytes]:
    """Train for five steps; the files of the run."""
    fit(gdl, *flags, "--stop_after", "5", code=75)
    return files()


def files() -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(RUN.rglob("*")) if p.is_file()}


def resumed(gdl: Run, *flags: str) -> list[dict[str, Any]]:
    """Resume with changed options for three steps; the groups of the last checkpoint."""
    fit(gdl, "--resume", str(RUN), "--resume_changed", "true", *flags, "--stop_after", "3", code=75)
    content = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)
    assert content["global_step"] == 8
    state = content["optimizer_states"][0]
    parts = state.get("parts", [state])
    return [group for part in parts for group in part["param_groups"]]


@pytest.mark.parametrize(
    ("flags", "changed", "key", "value"),
    [
        ((), ("--optimizer.lr", "0.02"), "lr", 0.02),
        ((), ("--optimizer.weight_decay", "0.3"), "weight_decay", 0.3),
        ((), ("--optimizer.betas", "[0.5,0.9]"), "betas", (0.5, 0.9)),
        (
            ("--optimizer", "sgd", "--optimizer.lr", "0.1"),
            ("--optimizer.momentum", "0.5"),
            "momentum",
            0.5,
        ),
        (("--optimizer", "muon"), ("--optimizer.companion.lr", "0.007"), "lr", 0.007),
    ],
)
def test_a_changed_option_takes_effect(
    gdl: Run, flags: tuple[str, ...], changed: tuple[str, ...], key: str, value: Any
) -> None:
    constant = (*flags, "--schedule", "constant", "--schedule.warmup", "0")
    stopped(gdl, *constant)
    groups = resumed(gdl, *constant, *changed)
    assert value in [tuple(g[key]) if isinstance(value, tuple) else g[key] for g in groups]


def test_a_changed_peak_is_scheduled(gdl: Run) -> None:
    linear = ("--schedule", "linear", "--schedule.warmup", "0", "--trainer.max_steps", "10")
    stopped(gdl, *linear)
    groups = resumed(gdl, *linear, "--optimizer.lr", "0.02")
    assert groups[0]["initial_lr"] == 0.02
    assert groups[0]["lr"] == pytest.approx(0.02 / 9)


def test_a_changed_schedule_takes_effect_at_once(gdl: Run) -> None:
    stopped(gdl, "--schedule", "constant", "--schedule.warmup", "0")
    groups = resumed(
        gdl, "--schedule", "linear", "--schedule.warmup", "0", "--trainer.max_steps", "10"
    )
    assert groups[0]["lr"] == pytest.approx(0.001 / 9)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("--optimizer", "sgd"), "optimizer.name was adamw, now sgd"),
        (("--model.net.hidden", "32,32"), "the model is not that of the run: net."),
        (("--model.net", "linear"), "the model is not that of the run: net."),
        (("--groups.freeze", "[net.*0*]"), "parameter groups"),
        (("--optimizer.wrappers", "[lookahead]"), "optimizer.wrappers was None"),
    ],
)
def test_another_optimizer_or_net_is_refused_and_nothing_changes(
    gdl: Run, changed: tuple[str, ...], words: str
) -> None:
    before = stopped(gdl)
    said = fit(gdl, "--resume", str(RUN), "--resume_changed", "true", *changed, code=2)
    assert words in said
    assert "--init_from" in said
    assert files() == before


CRASH = """
import lightning.pytorch as L


class Crash(L.Callback):
    def __init__(self, where: str = "on_train_start") -> None:
        setattr(self, where, self.crash)

    def crash(self, trainer, module, **rest):
        trainer.logger.log_metrics({"mine": 1.0}, step=0)
        raise RuntimeError("not today")
"""


@pytest.mark.parametrize("where", ["setup", "on_fit_start", "on_train_start"])
def test_a_resume_that_crashes_before_its_first_step_changes_nothing(
    gdl: Run, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stopped(gdl)
    Path("crashes.py").write_text(CRASH)
    monkeypatch.syspath_prepend(Path.cwd())
    said = fit(
        gdl,
        "--resume",
        str(RUN),
        "--resume_changed",
        "true",
        "--callbacks",
        f"[{{name: crashes.Crash, where: {where}}}]",
        code=2,
    )
    assert "RuntimeError: not today" in said
    assert "Its folder is unchanged" in said
    assert files() == before
    fit(gdl, "--resume", "auto", "--stop_after", "1", code=75)
    assert not Path("runs/tabular/version_1").exists()


COSINE = ("--schedule", "cosine", "--schedule.warmup", "0", "--optimizer.lr", "1.0")


def cosine(step: int, total: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * step / (total - 1)))


def rate_after(gdl: Run, *flags: str) -> tuple[float, str]:
    """Resume for one step; the learning rate of the next step, and what was printed."""
    said = fit(gdl, *COSINE, "--resume", str(RUN), *flags, "--stop_after", "1", code=75)
    content = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)
    return content["optimizer_states"][0]["param_groups"][0]["lr"], said


@pytest.mark.parametrize(
    ("flags", "expected", "words"),
    [
        ((), cosine(6, 40), "stretched to the new length"),
        (("--resume_schedule", "restart"), cosine(1, 35), "restarts here"),
    ],
)
def test_a_longer_run_needs_no_flag_and_its_schedule_is_chosen(
    gdl: Run, flags: tuple[str, ...], expected: float, words: str
) -> None:
    stopped(gdl, *COSINE, "--trainer.max_steps", "10")
    longer = ("--trainer.max_steps", "40")
    rate, said = rate_after(gdl, *longer, *flags)
    assert rate == pytest.approx(expected)
    assert "Training until step 40." in said
    assert words in said
    config = (RUN / "config.yaml").read_text()
    assert "max_steps: 40" in config
    assert "resume_schedule: null" in config
    rate, said = rate_after(gdl, *longer)
    assert rate == pytest.approx(cosine(2, 35) if flags else cosine(7, 40))
    assert "schedule" not in said


def test_a_constant_tail_keeps_the_last_rate_of_the_schedule(gdl: Run) -> None:
    linear = ("--schedule", "linear", "--schedule.final", "0.1", "--schedule.warmup", "0")
    fit(gdl, *linear, "--optimizer.lr", "1.0", "--trainer.max_steps", "6")
    said = fit(
        gdl,
        "--resume",
        str(RUN),
        *linear,
        "--optimizer.lr",
        "1.0",
        "--trainer.max_steps",
        "9",
        "--resume_schedule",
        "constant",
    )
    assert "after step 6 its last learning rate is used" in said
    content = torch.load(RUN / "checkpoints/last.ckpt", weights_only=True)
    assert content["global_step"] == 9
    assert content["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.1)


def test_a_finished_run_is_trained_longer_and_its_schedule_restarts(gdl: Run) -> None:
    fit(gdl, *COSINE, "--trainer.max_steps", "6")
    refused = ("--resume", str(RUN), *COSINE, "--trainer.max_steps")
    assert "would train nothing" in fit(
        gdl, *refused, "12", "--resume_schedule", "constant", code=2
    )
    said = fit(gdl, *refused, "6", "--resume_schedule", "restart", code=2)
    assert "has no effect" in said
    assert "--trainer.max_epochs N" in fit(gdl, *refused, "6", code=2)
    rate, said = rate_after(gdl, "--trainer.max_steps", "12")
    assert rate == pytest.approx(cosine(1, 6))
    assert "changes from 0 to 1" in said
    assert not (RUN / "metrics.json").exists()


def test_a_shorter_run_and_a_lone_schedule_option_are_refused(gdl: Run) -> None:
    stopped(gdl, "--trainer.max_steps", "10")
    said = fit(gdl, "--resume", str(RUN), "--trainer.max_steps", "8", code=2)
    assert "trainer.max_steps (10 → 8)" in said
    assert "Name the run" in fit(gdl, "--resume_schedule", "restart", code=2)
