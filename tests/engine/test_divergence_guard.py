"""Steps with a non-finite loss or gradient do not change the weights."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import CONFIGS, QUIET, Run, metrics

from gdlightning.engine import deferred_step

BAD = """
import torch
from gdlightning.tasks.tabular import TabularClassification

class Poisoned(TabularClassification):
    '''The loss of the steps ``bad``, counted from 0, is multiplied by ``size``.'''
    def __init__(self, net, classes=None, outputs=None, bad: list[int] = (), size: str = "1"):
        super().__init__(net, classes, outputs)
        self.bad, self.size = set(bad), float(size)
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * self.size if self.trainer.global_step in self.bad else loss

class Undone(TabularClassification):
    '''The same module without gradients at these steps.'''
    def __init__(self, net, classes=None, outputs=None, bad: list[int] = ()):
        super().__init__(net, classes, outputs)
        self.bad = set(bad)
    def on_before_optimizer_step(self, optimizer):
        if self.trainer.global_step in self.bad:
            for p in self.parameters():
                p.grad = None
"""


@pytest.fixture
def train(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return ``train(name, class, *flags)``, which trains a module with bad steps."""
    Path("poison.py").write_text(BAD)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "poison", raising=False)  # from another test

    def run(name: str, cls: str, *flags: str) -> Any:
        return gdl(
            "fit",
            "--config",
            str(CONFIGS / "tabular.yaml"),
            *QUIET,
            "--name",
            name,
            "--model",
            f"poison.{cls}",
            "--trainer.max_epochs",
            "3",
            "--trainer.log_every_n_steps",
            "1",
            *flags,
        )

    return run


def weights(name: str) -> dict[str, Any]:
    """Return the state_dict of the last checkpoint of a run."""
    path = f"runs/{name}/version_0/checkpoints/last.ckpt"
    found: dict[str, Any] = torch.load(path, weights_only=True)["state_dict"]
    return found


@pytest.fixture(params=["synchronous", "early", "late"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run as on a CPU, and as on an asynchronous device whose values arrive early or late."""
    if request.param != "synchronous":
        monkeypatch.setattr(deferred_step, "ASYNCHRONOUS", frozenset({"cpu"}))
    if request.param == "late":
        monkeypatch.setattr(deferred_step.StepValues, "is_ready", False)


@pytest.mark.parametrize("size", ["nan", "inf"])
def test_a_bad_step_is_dropped_counted_and_its_batch_saved(train: Any, size: str) -> None:
    result = train("poisoned", "Poisoned", "--model.bad", "[3,9]", "--model.size", size)
    assert result.code == 0, result.err
    assert train("undone", "Undone", "--model.bad", "[3,9]").code == 0
    ours, theirs = weights("poisoned"), weights("undone")
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    folder = Path("runs/poisoned/version_0")
    assert "dropped_steps" in (folder / "metrics.csv").read_text()
    saved = torch.load(folder / "bad_batches" / "step-3.pt", weights_only=True)
    assert saved["step"] == 3
    assert len(saved["index"]) == len(saved["batch"][1]) == 32
    assert "loss" in saved["reason"]


@pytest.mark.usefixtures("device")
def test_several_in_a_row_stop_with_a_message(train: Any) -> None:
    every = "[" + ",".join(map(str, range(8, 39))) + "]"
    result = train(
        "poisoned",
        "Poisoned",
        "--model.bad",
        every,
        "--model.size",
        "nan",
        "--guard.patience",
        "4",
        "--checkpoint.every_n_steps",
        "1",
    )
    assert result.code == 3
    assert "diverged at step 11" in result.err
    assert "Traceback" not in result.err
    assert all(torch.isfinite(w).all() for w in weights("poisoned").values())
    assert len(list(Path("runs/poisoned/version_0/bad_batches").iterdir())) == 4


def test_a_spike_is_dropped_if_configured(train: Any) -> None:
    flags = ("--model.bad", "[30]", "--model.size", "1000")
    assert train("plain", "Poisoned", *flags).code == 0
    assert train("guarded", "Poisoned", *flags, "--guard.spike", "20").code == 0
    assert not Path("runs/plain/version_0/bad_batches").exists()
    assert Path("runs/guarded/version_0/bad_batches/step-30.pt").is_file()


def test_rollback_reduces_the_rate_and_changes_the_order(train: Any) -> None:
    result = train(
        "poisoned",
        "Poisoned",
        "--model.bad",
        "[20,21,22]",
        "--model.size",
        "nan",
        "--guard.policy",
        "rollback",
        "--guard.patience",
        "3",
        "--guard.max_rollbacks",
        "1",
        "--checkpoint.every_n_steps",
        "6",
        "--schedule",
        "constant",
    )
    # These steps are bad at any learning rate: the run rolls back once, then stops.
    assert result.code == 3, result.err
    assert "Rollback 1: going back to runs/poisoned/version_0/checkpoints/last.ckpt" in result.err
    with Path("runs/poisoned/version_0/metrics.csv").open(newline="") as stream:
        rates = {
            float(r["lr/adamw/matrix-decay+output-decay"])
            for r in csv.DictReader(stream)
            if r.get("lr/adamw/matrix-decay+output-decay")
        }
    assert rates == {1e-3, 5e-4}


def test_run_finishes_if_the_smaller_rate_after_a_rollback_helps(train: Any) -> None:
    Path("poison.py").write_text(
        BAD.replace(
            "if self.trainer.global_step in self.bad",
            "if self.trainer.global_step in self.bad"
            " and self.trainer.optimizers[0].param_groups[0]['lr'] > 6e-4",
        )
    )
    sys.modules.pop("poison", None)
    result = train(
        "poisoned",
        "Poisoned",
        "--model.bad",
        "[20,21,22]",
        "--model.size",
        "nan",
        "--guard.policy",
        "rollback",
        "--guard.patience",
        "3",
        "--checkpoint.every_n_steps",
        "6",
        "--schedule",
        "constant",
    )
    assert result.code == 0, result.err
    assert metrics("poisoned")["test_auroc"] > 0.9
    ends = torch.load("runs/poisoned/version_0/checkpoints/last.ckpt", weights_only=True)
    with Path("runs/poisoned/version_0/metrics.csv").open(newline="") as stream:
        steps = [int(r["step"]) for r in csv.DictReader(stream) if r.get("grad_norm")]
    assert steps == list(range(39))  # none is missing or logged twice
    assert ends["callbacks"]["Guard"]["rollbacks"] == 1
    assert ends["exact"]["ranks"][0]["loader"]["held"]["loaders"][0]["reorder"] == 1


def test_a_closure_whose_second_loss_is_bad_leaves_finite_weights(train: Any) -> None:
    result = train(
        "poisoned",
        "Poisoned",
        "--model.bad",
        "[3]",
        "--model.size",
        "nan",
        "--optimizer",
        "sam",
        "--optimizer.base",
        "sgd",
    )
    assert result.code == 0, result.err
    assert all(torch.isfinite(w).all() for w in weights("poisoned").values())
    assert metrics("poisoned")["train_loss"] < 0.7


# An asynchronous device, simulated by a CPU.


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from torch.compile
def test_only_a_fused_optimizer_that_has_stepped_skips_steps_on_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deferred_step, "ASYNCHRONOUS", frozenset({"cpu"}))

    def can_defer(optimizer: torch.optim.Optimizer) -> bool:
        return deferred_step.can_defer(optimizer, torch.tensor(1.0), None)

    weight = torch.ones(2, requires_grad=True)
    weight.grad = torch.ones(2)
    fused = torch.optim.AdamW([weight], fused=True)
    assert not can_defer(fused)
    fused.step()
    assert can_defer(fused)
    setattr(fused, "step", torch.compile(fused.step))  # noqa: B010
    assert not can_defer(fused)
    plain = torch.optim.AdamW([weight], foreach=True)
    plain.step()
    assert not can_defer(plain)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "adagrad"])
def test_the_device_skips_the_same_steps(
    train: Any, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--model.bad", "[0,3,9,10]", "--model.size", "nan", "--optimizer", optimizer)
    assert train("waited", "Poisoned", *flags).code == 0
    monkeypatch.setattr(deferred_step, "ASYNCHRONOUS", frozenset({"cpu"}))
    left: list[int] = []
    skip_on_device = deferred_step.StepValues.skip_on_device

    def spied(step: deferred_step.StepValues, own: torch.optim.Optimizer) -> None:
        left.append(step.step)
        skip_on_device(step, own)

    monkeypatch.setattr(deferred_step.StepValues, "skip_on_device", spied)
    assert train("behind", "Poisoned", *flags).code == 0
    # The first step creates the state, except for Adagrad's; step 0 is dropped, so it is step 1.
    assert left == list(range(0 if optimizer == "adagrad" else 2, 39))
    ours, theirs = weights("behind"), weights("waited")
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    for name in ("waited", "behind"):
        folder = Path(f"runs/{name}/version_0/bad_batches")
        found = {p.name: torch.load(p, weights_only=True) for p in folder.iterdir()}
        assert set(found) == {f"step-{k}.pt" for k in (0, 3, 9, 10)}
        assert found["step-9.pt"]["step"] == 9
        assert len(found["step-9.pt"]["index"]) == len(found["step-9.pt"]["batch"][1])


@pytest.mark.usefixtures("device")
def test_bad_steps_at_the_end_are_counted(train: Any) -> None:
    flags = ("--model.bad", "[37,38]", "--model.size", "inf", "--guard.patience", "2")
    result = train("poisoned", "Poisoned", *flags)
    assert result.code == 3, result.err
    assert "diverged at step 38" in result.err


RANKS = """
import os
import sys
from gdlightning.__main__ import main
from gdlightning.engine import deferred_step

deferred_step.ASYNCHRONOUS = frozenset({"cpu"})
# The values of the second rank arrive early, those of the first late.
deferred_step.StepValues.is_ready = property(lambda step: os.environ.get("LOCAL_RANK") == "1")
sys.exit(main())
"""


def test_two_ranks_give_up_at_the_same_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("poison.py").write_text(BAD)
    Path("ranks.py").write_text(RANKS)
    bad = "[" + ",".join(map(str, range(8, 39))) + "]"
    done = subprocess.run(
        [
            sys.executable,
            "ranks.py",
            "fit",
            "--config",
            str(CONFIGS / "tabular.yaml"),
            *QUIET,
            "--model",
            "poison.Poisoned",
            "--model.bad",
            bad,
            "--model.size",
            "nan",
            "--guard.patience",
            "4",
            "--trainer.devices",
            "2",
            "--trainer.strategy",
            "ddp",
            "--trainer.accelerator",
            "cpu",
            "--threads",
            "1",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "diverged at step 11" in done.stderr


@pytest.mark.parametrize(
    ("flag", "value"),
    [("patience", "0"), ("spike", "0.5"), ("lr_factor", "2"), ("policy", "rolback")],
)
def test_options_are_checked(flag: str, value: str, train: Any) -> None:
    result = train("poisoned", "Poisoned", f"--guard.{flag}", value)
    assert result.code == 2
    assert f"guard.{flag}" in result.err
    if flag != "policy":
        assert f"(got {float(value):g}" in result.err.replace(".0,", ",")
    assert not Path("runs").exists()
