"""The monitor's values agree with a plain loop in float64, and the run is not changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from helpers import CONFIGS, QUIET, Run
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gdlightning.callbacks.monitor import Monitor
from gdlightning.callbacks.verdicts import Verdicts
from gdlightning.signals import stop_signals
from gdlightning.storage.journal import JOURNAL, rows

torch.set_num_threads(1)


class Plain(L.LightningModule):
    """Module with dropout that does not use gdlightning."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.lr = lr
        self.random: Tensor | None = None
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        self.random = self.random if self.random is not None else torch.get_rng_state()
        loss: Tensor = (self.net(batch[0]) - batch[1]).square().mean()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def fit(monitor: Monitor | None, steps: int = 30, **options: Any) -> Plain:
    torch.manual_seed(3)
    module = Plain().double()
    x = torch.randn(96, 4, dtype=torch.float64)
    data = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8)
    trainer = L.Trainer(
        max_steps=steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[monitor] if monitor else [],
        **options,
    )
    trainer.fit(module, data)
    return module


def test_the_gain_ratio_is_that_of_the_same_batch_and_dropout(tmp_path: Path) -> None:
    monitor = Monitor(every=1)
    monitor.folder = tmp_path
    random = fit(monitor, steps=1).random
    assert random is not None
    (row,) = [r for r in rows(tmp_path / JOURNAL) if "gain" in r]
    torch.manual_seed(3)
    module = Plain().double()
    x = torch.randn(96, 4, dtype=torch.float64)
    batch = [x[:8], x[:8].sum(1, keepdim=True)]
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    torch.set_rng_state(random)
    before = module.training_step(batch, 0)
    before.backward()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    slope = -0.1 * sum(float(g.square().sum()) for g in gradients)
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    torch.set_rng_state(random)
    after = module.training_step(batch, 0)
    assert row["loss"] == pytest.approx(before.item(), rel=1e-6)
    assert row["promised"] == pytest.approx(slope, rel=1e-5)
    assert row["gain"] == pytest.approx((after.item() - before.item()) / slope, rel=1e-4)


@pytest.mark.parametrize(
    "options", [{}, {"accumulate_grad_batches": 3}], ids=["plain", "accumulated"]
)
def test_training_is_the_same_with_and_without(tmp_path: Path, options: dict[str, Any]) -> None:
    monitor = Monitor(every=2)
    monitor.folder = tmp_path
    watched, alone = fit(monitor, **options), fit(None, **options)
    for name, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name
    measured = [r for r in rows(tmp_path / JOURNAL) if "gain" in r]
    assert len(measured) > 5
    assert all(r["examples"] == 8 * options.get("accumulate_grad_batches", 1) for r in measured)
    assert sum(len(r.get("losses", ())) for r in rows(tmp_path / JOURNAL)) == 30


def test_a_spike_is_recorded_with_its_examples(tmp_path: Path) -> None:
    from gdlightning.data.loader import BatchLoader, TensorRows

    torch.manual_seed(0)
    x = torch.randn(800, 4)
    y = x.sum(1, keepdim=True)
    y[700:704] = 500.0
    loader = BatchLoader(TensorRows(x, y), 4, shuffle=True, seed=1)
    monitor = Monitor()
    monitor.folder = tmp_path
    trainer = L.Trainer(
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[monitor],
        gradient_clip_val=1.0,
    )
    trainer.fit(Plain(0.01), loader)
    spikes = [s for r in rows(tmp_path / JOURNAL) for s in r.get("spikes", ())]
    reported = {e for s in spikes for e in s["examples"]}
    again = BatchLoader(TensorRows(x, y), 4, shuffle=True, seed=1)
    order = [again.index.tolist() for _ in again]
    for spike in spikes:
        assert spike["examples"] == order[spike["step"]]
    late = {e for e in range(700, 704) if not any(e in part for part in order[:30])}
    assert late
    assert late <= reported
    assert len(spikes) <= 4


@pytest.mark.parametrize("asked", [False, True])
def test_a_requested_stop_does_not_wait_for_verdicts(
    asked: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monitor = Monitor()
    monitor.folder = tmp_path
    monkeypatch.setattr(stop_signals, "name", "SIGTERM" if asked else None)
    module = Plain(lr=1e3)
    x = torch.randn(96, 4)
    trainer = L.Trainer(
        max_steps=120,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[monitor, Verdicts(monitor)],
    )
    trainer.fit(module, DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8))
    assert ("The run diverged" in capsys.readouterr().err) == (not asked)


def test_a_resumed_run_continues_the_file(gdl: Run, tmp_path: Path) -> None:
    flags = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--checkpoint.every_n_steps", "20")
    assert gdl("fit", *flags, "--trainer.max_steps", "60", "--name", "whole").code == 0
    whole = Path("runs/whole/version_0") / JOURNAL
    lines = [json.loads(line) for line in whole.read_text().splitlines()]
    from gdlightning.storage.logs import trim

    end = len("".join(whole.read_text().splitlines(keepends=True)[:4]).encode())
    trim(whole.parent, {JOURNAL: end})
    kept = list(rows(whole))
    assert kept == lines[:4]
    with whole.open("a") as stream:
        stream.write('{"step": 31, "los')  # from a process that was killed
    assert list(rows(whole)) == kept


SPIKE = """
import os, signal
from pathlib import Path
from gdlightning.tasks.tabular import TabularClassification

class Spiking(TabularClassification):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        step = self.trainer.global_step
        if step == 37 and Path("stop").exists():
            Path("stop").unlink()
            os.kill(os.getpid(), signal.SIGTERM)
        return 50 * loss if step == 36 else loss
"""


def test_values_between_two_measurements_are_kept_by_a_stop(
    gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("spiking_task.py").write_text(SPIKE)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    command = (
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--trainer.max_epochs",
        "4",
        "--model",
        "spiking_task.Spiking",
    )
    assert gdl(*command, "--name", "whole").code == 0
    Path("stop").touch()
    assert gdl(*command, "--name", "parts").code not in (0, 1, 2)
    resumed = gdl(*command, "--name", "parts", "--resume", "auto")
    assert resumed.code == 0, resumed.err
    whole, parts = (
        [r for r in rows(Path(f"runs/{n}/version_0") / JOURNAL) if "start" not in r]
        for n in ("whole", "parts")
    )
    assert whole == parts
    spike = next(s for r in whole for s in r.get("spikes", ()))
    assert spike["step"] == 36
    assert len(spike["examples"]) == 32
