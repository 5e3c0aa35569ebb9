"""Weight averages are evaluated and saved, and runs with them resume exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CONFIGS, QUIET, Run, metrics
from torch import Tensor

SHORT = ("--trainer.max_epochs", "4", "--checkpoint.every_n_steps", "5")
AVERAGES = {
    "ema": "[{name: ema-weight-averaging, decay: 0.9}]",
    "swa": "[{name: stochastic-weight-averaging, start: 0.5}]",
}


def saved(name: str, file: str = "last.ckpt") -> dict[str, Any]:
    path = next(Path(f"runs/{name}/version_0/checkpoints").glob(file))
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


@pytest.mark.parametrize("name", AVERAGES)
def test_the_average_is_evaluated_saved_and_predicted_with(name: str, fit: Run, gdl: Run) -> None:
    fit("tabular", *SHORT, "--name", "plain")
    fit("tabular", *SHORT, "--name", name, "--callbacks", AVERAGES[name])
    plain, mean = saved("plain"), saved(name)
    assert equal(mean["current_model_state"], plain["state_dict"])  # training is not changed
    assert not equal(mean["state_dict"], plain["state_dict"])
    again = gdl("test", f"runs/{name}", "--format", "json").json()
    assert again["test_loss"] == metrics(name)["test_loss"]
    assert again["test_loss"] != metrics("plain")["test_loss"]
    assert mean["exact"]["logged"]["val_loss"] != plain["exact"]["logged"]["val_loss"]


STOP = """
import os, signal
from pathlib import Path
import lightning.pytorch as L

class Stop(L.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 33 and Path("stop").exists():
            Path("stop").unlink()
            os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("name", AVERAGES)
def test_a_stopped_run_resumes_exactly(
    name: str, gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("stopping.py").write_text(STOP)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    callbacks = f"[stopping.Stop, {AVERAGES[name][1:]}"
    command = (
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        *SHORT,
        "--callbacks",
        callbacks,
    )
    assert gdl(*command, "--name", "whole").code == 0
    Path("stop").touch()
    assert gdl(*command, "--name", "parts").code not in (0, 1, 2)
    assert saved("parts")["global_step"] == 33
    resumed = gdl(*command, "--name", "parts", "--resume", "auto")
    assert resumed.code == 0, resumed.err
    whole, parts = saved("whole"), saved("parts")
    for key in ("state_dict", "current_model_state", "averaging_state"):
        assert equal(whole[key], parts[key]), key
    assert metrics("whole") == metrics("parts")


def test_a_run_that_was_killed_after_its_last_step_is_tested_with_the_average(
    fit: Run, gdl: Run
) -> None:
    fit("tabular", *SHORT, "--name", "ema", "--callbacks", AVERAGES["ema"])
    whole = metrics("ema")
    Path("runs/ema/version_0/metrics.json").unlink()  # as if the run was killed before writing it
    assert gdl("fit", "--resume", "runs/ema/version_0", *QUIET).code == 0
    assert metrics("ema") == whole


def test_before_the_first_average_the_current_weights_are_evaluated(fit: Run) -> None:
    late = "[{name: ema-weight-averaging, decay: 0.9, update_starting_at_step: 1000}]"
    fit("tabular", *SHORT, "--name", "plain")
    fit("tabular", *SHORT, "--name", "late", "--callbacks", late)
    plain, mean = saved("plain"), saved("late")
    assert equal(mean["state_dict"], plain["state_dict"])
    assert mean["exact"]["logged"] == plain["exact"]["logged"]


def test_swa_is_the_mean_of_the_last_epochs(fit: Run) -> None:
    flags = ("--schedule", "constant", "--trainer.limit_val_batches", "0")
    for epochs in (3, 4):
        fit("tabular", *flags, "--trainer.max_epochs", str(epochs), "--name", f"epochs{epochs}")
    fit(
        "tabular",
        *flags,
        "--trainer.max_epochs",
        "4",
        "--name",
        "mean",
        "--callbacks",
        AVERAGES["swa"],
    )
    third, fourth = (saved(f"epochs{n}")["state_dict"] for n in (3, 4))
    for key, value in saved("mean")["state_dict"].items():
        assert torch.allclose(value, (third[key] + fourth[key]) / 2, atol=1e-7), key


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("start: 1.5", "start must be in [0, 1) (got 1.5"),
        ("every_n_steps: 0", "every_n_steps must be at least 1 (got 0"),
        ("strat: 0.5", "Did you mean start"),
    ],
)
def test_invalid_options_are_an_error(options: str, words: str, gdl: Run) -> None:
    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--callbacks",
        f"[{{name: stochastic-weight-averaging, {options}}}]",
    )
    assert result.code == 2
    assert words in result.err
    assert not Path("runs").exists()
