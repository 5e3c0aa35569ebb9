"""``gdl.fit`` and its relatives: people's own models and data, the code of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from helpers import CONFIGS, Run, metrics
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import gdlightning
from gdlightning.tasks.tabular import TabularClassification

QUICK: dict[str, Any] = {
    "progress": False,
    "accelerator": "cpu",
    "max_epochs": 2,
    "loggers": [],
    "watch__graph": False,
}
CONFIG = str(CONFIGS / "tabular.yaml")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)


def blobs(count: int = 90, classes: int = 3) -> tuple[Any, Any]:
    """Return points [N, 2] around the corners of a triangle, and their corners [N]."""
    generator = np.random.default_rng(0)
    y = np.arange(count) % classes
    corners = np.array([[0.0, 4.0], [4.0, 0.0], [-4.0, -4.0]])
    return corners[y] + generator.normal(size=(count, 2)), y


def net(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, outputs))


def test_a_config_gives_the_run_of_the_command_line(gdl: Run) -> None:
    flags = (
        "--trainer.enable_progress_bar",
        "false",
        "--trainer.accelerator",
        "cpu",
        "--trainer.max_epochs",
        "2",
        "--optimizer.lr",
        "1e-2",
    )
    assert gdl("fit", "--config", CONFIG, *flags).code == 0
    run = gdlightning.fit(CONFIG, lr=1e-2, progress=False, accelerator="cpu", max_epochs=2)
    assert run.folder == Path("runs/tabular/version_1")
    assert run.metrics == metrics("tabular")
    assert {k: v for k, v in run.metrics.items() if k.startswith("test_")} == run.test()
    same = gdlightning.fit(
        {"optimizer": {"lr": 1e-2}} | yaml_of(CONFIG), optimizer__lr=1e-2, name="again", **QUICK
    )
    assert same.metrics == run.metrics


def yaml_of(path: str) -> dict[str, Any]:
    from gdlightning.config.settings import read_yaml

    return read_yaml(path)


def test_a_frame_in_and_a_frame_out() -> None:
    x, y = blobs()
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(kind=y, town=["Ulm", "Bonn"] * 45)
    run = gdlightning.fit(data=frame, target="kind", lr=0.03, batch_size=16, name="f", **QUICK)
    new = frame.sample(7, random_state=1).drop(columns="kind")
    found = run.predict(new)
    assert list(found.index) == list(new.index)
    assert list(found.columns) == ["prediction", *(f"probability_{k}" for k in range(3))]
    assert found.prediction.dtype.kind == "i"
    assert (run.predict(frame).prediction == frame.kind).mean() > 0.9
    again = gdlightning.predict("runs/f", new)
    pd.testing.assert_frame_equal(again, found)
    assert isinstance(run.module, TabularClassification)
    frame.to_parquet("new.parquet")
    assert len(gdlightning.load(run, quiet=True).predict("new.parquet")) == 90
    assert "FittedRun" in repr(run)
    assert "<table>" in run._repr_html_()


def test_a_plain_network_with_arrays_is_trained_in_place() -> None:
    x, y = blobs()
    network = net()
    run = gdlightning.fit(
        model=network, task="classification", data=(x, y), lr=0.03, batch_size=16, name="p", **QUICK
    )
    assert run.module.net is network
    assert (run.predict(x) == y).mean() > 0.9
    assert run.predict(x[:4], probabilities=True).shape == (4, 3)
    again = gdlightning.load("runs/p", model=net(), quiet=True)
    assert (again.predict(x) == run.predict(x)).all()
    with pytest.raises(gdlightning.UserError, match=r"gdl\.load\(RUN, model=\.\.\.\)"):
        gdlightning.load("runs/p", quiet=True)
    assert (
        "object:torch.nn.modules.container.Sequential" in (run.folder / "config.yaml").read_text()
    )
    second = gdlightning.fit(model=network, task="classification", data=(x, y), name="q", **QUICK)
    assert second.finished  # the methods of a module may be replaced again and again


@pytest.mark.parametrize("loss", ["mse", F.mse_loss, lambda out, y: (out - y).square().mean()])
def test_any_loss(loss: Any) -> None:
    x = torch.linspace(-1, 1, 64)[:, None]
    y = 3 * x + 1
    run = gdlightning.fit(
        model=nn.Linear(1, 1),
        loss=loss,
        data=(x, y),
        lr=0.3,
        batch_size=8,
        **{**QUICK, "max_epochs": 12},
    )
    assert run.metrics["val_loss"] < 0.02
    weights = run.module.net
    assert isinstance(weights, nn.Linear)
    assert float(weights.weight.detach()) == pytest.approx(3, abs=0.2)
    assert run.predict(x[:2]) == pytest.approx((3 * x + 1)[:2, 0].numpy(), abs=0.3)


def test_a_shape_that_would_broadcast_is_refused() -> None:
    x = np.ones((20, 2))
    with pytest.raises(gdlightning.UserError, match="outputs have shape"):
        gdlightning.fit(model=nn.Linear(2, 3), loss="mse", data=(x, np.ones(20)), **QUICK)


def test_loaders_tell_the_classes_by_the_net() -> None:
    x, y = blobs()
    pairs = TensorDataset(torch.tensor(x).float(), torch.tensor(y))
    loaders = (DataLoader(pairs, 16, shuffle=True), DataLoader(pairs, 90))
    run = gdlightning.fit(
        model=net(), task="classification", data=loaders, lr=0.03, name="l", **QUICK
    )
    assert run.metrics["val_accuracy"] > 0.9
    assert len(run.predict(x)) == 90
    assert len(run.predict(loaders[1])) == 90
    again = gdlightning.load("runs/l", model=net(), quiet=True)
    assert (again.predict(x) == run.predict(x)).all()


def test_a_lightning_module_with_its_own_loaders() -> None:
    model = BoringModel()
    run = gdlightning.fit(model=model, max_steps=3, progress=False, accelerator="cpu")
    assert run.module is model
    assert run.finished
    assert "configure_optimizers" not in vars(model)
    assert run.predict(torch.randn(5, 32)).shape == (5, 2)
    assert len(run.predict()) == 64


def test_a_stopped_run_is_resumed_with_the_same_objects() -> None:
    x, y = blobs()
    options: dict[str, Any] = {"task": "classification", "data": (x, y), "batch_size": 16} | QUICK
    whole = gdlightning.fit(model=net(), name="whole", **options)
    stopped = gdlightning.fit(model=net(), name="part", stop_after=3, **options)
    assert not stopped.finished
    assert stopped.metrics == {}
    ended = gdlightning.fit(model=net(), name="part", resume="auto", **options)
    assert ended.folder == stopped.folder
    assert ended.metrics == whole.metrics
    for name, value in ended.module.state_dict().items():
        assert torch.equal(value, whole.module.state_dict()[name])


class OneCall(L.LightningModule):
    """A module without loaders."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        outputs: Tensor = self.layer(batch[0])
        return outputs.square().mean()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": nn.Linear(1, 1), "data": ([[1.0]], [1.0])}, "plain network"),
        ({"model": 3}, "of type int"),
        ({"model": OneCall(), "data": 3}, "data of the type int"),
        ({"model": OneCall(), "task": "regression"}, "its own loss"),
        ({"data": pd.DataFrame({"a": [1]})}, "target="),
        ({"model": "tabular-clasification"}, "tabular-classification"),
        ({"config": CONFIG, "optimizer__lrr": 1}, "optimizer.lr"),
        ({"config": CONFIG, "lr": "x"}, "optimizer.lr"),
    ],
)
def test_what_is_wrong_is_told_before_training(arguments: Any, words: str) -> None:
    with pytest.raises(gdlightning.UserError, match=words):
        gdlightning.fit(**arguments)
    assert not Path("runs").exists()


def test_a_task_is_rebuilt_from_its_checkpoint(finished_run: Path) -> None:
    path = finished_run / "checkpoints" / "last.ckpt"
    weights = torch.load(path, weights_only=True)["state_dict"]
    for cls in (gdlightning.Task, TabularClassification):
        task = cls.load_from_checkpoint(path, map_location="cpu")
        assert type(task) is TabularClassification
        assert task.classes == ["benign", "malignant"]
        assert all(torch.equal(v, weights[k]) for k, v in task.state_dict().items())


def test_diagnosis_and_learning_rate(finished_run: Path) -> None:
    found = gdlightning.diagnose(finished_run)
    assert "39 steps" in repr(found) or len(found)
    rate = gdlightning.lr_find(CONFIG, steps=40, progress=False, accelerator="cpu")
    assert rate.low < rate.lr < rate.high
    assert float(rate) == rate.lr
    assert rate.option == "optimizer.lr"


def test_compare_names_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = gdlightning.compare(
        CONFIG, optimizers=["adamw", "sgd"], trials=1, seeds=1, steps=6, output="study"
    )
    assert found.best in ("adamw", "sgd")
    assert Path("study/report.html").is_file()
    assert "adamw" in repr(found)
