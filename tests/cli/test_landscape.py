"""``gdl landscape`` on real runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET, Run

from gdlightning.landscape.surface import Surface
from gdlightning.runs.load_run import batches, restore
from gdlightning.tasks.objective import loss_of
from gdlightning.tasks.task import examples

SHORT = ("--trainer.max_epochs", "3", "--checkpoint.every_n_steps", "4", "--checkpoint.keep", "99")
SMALL = ("--size", "5", "--format", "json")
RUN = "runs/tabular/version_0"


def measured(gdl: Run, *flags: str) -> dict[str, Any]:
    result = gdl("landscape", RUN, *SMALL, *flags)
    assert result.code == 0, result.err
    found: dict[str, Any] = result.json()
    return found


def mean(where: str, split: str) -> float:
    """The loss of a checkpoint by its own module, batch by batch."""
    module, data = restore(where)
    found = batches(module, data, split, None)
    with torch.no_grad():
        losses = [examples(b) * float(loss_of(module, b)) for b in found]
    return sum(losses) / sum(examples(b) for b in found)


def test_a_run_is_seen_from_all_sides(fit: Run, gdl: Run) -> None:
    fit("tabular", *SHORT)
    found = measured(gdl)
    assert found["centre"] == {"train": mean(RUN, "train"), "val": mean(RUN, "val")}
    files = [Path(f) for f in found["files"]]
    assert {f.name for f in files} == {
        "random.json",
        "random.html",
        "random-contour.png",
        "random-contour.svg",
        "random-surface.png",
        "random-surface.svg",
    }
    assert all(f.parent == Path(RUN, "landscape") and f.stat().st_size > 2000 for f in files)

    kept = json.loads(files[0].read_text())
    assert kept["losses"]["train"][12] == found["centre"]["train"]
    assert len(kept["losses"]["val"]) == 25
    assert set(kept) >= set(Surface.__dataclass_fields__)

    path = measured(gdl, "--directions", "path", "--split", "train", "--dims", "1")
    assert "principal component 1" in path["axes"][0]["label"]
    marks = json.loads(Path(path["files"][0]).read_text())["marks"]
    assert [m["step"] for m in marks][:2] == [4, 8]
    assert marks[-1]["point"] == pytest.approx([0.0], abs=1e-9)
    middle = gdl(
        "landscape",
        f"{RUN}/checkpoints/previous-5.ckpt",
        *SMALL,
        "--directions",
        "path",
        "--split",
        "train",
        "--dims",
        "1",
        "--output",
        "middle",
    ).json()
    assert 8 < middle["step"] < marks[-1]["step"]
    assert json.loads(Path(middle["files"][0]).read_text())["marks"][-1]["step"] == middle["step"]
    assert middle["files"][0] == "middle/path-1d.json"
    assert marks[-1]["losses"]["train"] == pytest.approx(path["centre"]["train"], rel=1e-6)

    curved = measured(
        gdl, "--directions", "eigen", "--split", "train", "--batches", "1", "--dims", "1"
    )
    assert "eigenvector 1 of the Hessian" in curved["axes"][0]["label"]
    assert curved["centre"]["train"] <= max(
        json.loads(Path(curved["files"][0]).read_text())["losses"]["train"]
    )

    first = f"{RUN}/checkpoints/previous-8.ckpt"
    between = measured(
        gdl,
        "--directions",
        "between",
        "--to",
        first,
        "--dims",
        "1",
        "--batches",
        "2",
        "--output",
        "elsewhere",
        "--tensorboard",
    )
    assert between["batches"] == {"train": 2, "val": 1}
    kept = json.loads(Path("elsewhere/between-1d.json").read_text())
    assert kept["axes"][0]["values"] == [-0.5, 0.0, 0.5, 1.0, 1.5]
    assert kept["losses"]["val"][3] == pytest.approx(mean(first, "val"), rel=1e-6)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(RUN)
    board.Reload()
    assert "landscape/between-1d-slice" in board.Tags()["images"]


def test_a_text_says_what_was_seen(fit: Run, gdl: Run) -> None:
    fit("tabular", "--trainer.max_epochs", "1")
    result = gdl("landscape", RUN, "--dims", "1", "--size", "3", "--split", "val")
    assert result.code == 0, result.err
    assert result.out.startswith("Loss of tabular/version_0 around step 13, along random")
    assert "val    loss at the centre 0." in result.out
    assert f"{RUN}/landscape/random-1d.html" in result.out


MINE = """
import lightning.pytorch as L
import torch

class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss)
        return loss

class Data(L.LightningDataModule):
    def train_dataloader(self):
        x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        rows = torch.utils.data.TensorDataset(x, x.sum(dim=1, keepdim=True))
        return torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True)
"""


def test_a_module_and_data_of_someone_elses(gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("surveyed.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    result = gdl(
        "fit",
        "--model",
        "surveyed.Module",
        "--data",
        "surveyed.Data",
        "--name",
        "mine",
        *QUIET,
        "--trainer.max_epochs",
        "3",
        "--checkpoint.every_n_steps",
        "2",
        "--checkpoint.keep",
        "9",
    )
    assert result.code == 0, result.err
    run = "runs/mine/version_0"
    refused = gdl("landscape", run, *SMALL)
    assert refused.code == 2
    assert "--split train" in refused.err
    flags = ("--split", "train", "--dims", "1", *SMALL)
    kept = gdl("landscape", run, *flags).json()
    anew = gdl("landscape", run, *flags, "--directions", "path").json()
    assert kept["batch_norm"] == "kept"
    assert anew["batch_norm"] == "recomputed at every point"
    assert 0 < anew["centre"]["train"] != kept["centre"]["train"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("runs/tabulr",), "There is no run or checkpoint runs/tabulr. Did you mean"),
        ((RUN, "--directions", "between"), "needs another checkpoint: --to CKPT"),
        ((RUN, "--to", RUN), "--directions random takes no --to"),
        ((RUN, "--size", "1"), "--size is 1; write 2 or more."),
        ((RUN, "--extent", "0"), "--extent is 0.0; write a number above 0."),
        ((RUN, "--extent", "nan"), "--extent is nan; write a number above 0."),
        ((RUN, "--device", "nowhere"), "--device nowhere is not available"),
        ((RUN, "--directions", "path"), "--checkpoint.every_n_steps 5"),
        ((RUN, "--directions", "between", "--to", "other"), "has a different model"),
        ((RUN, "--output", "file/below"), "--output file/below cannot be created"),
    ],
)
def test_what_can_not_be_meant_is_told(
    flags: tuple[str, ...], told: str, gdl: Run, one_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(one_run)
    result = gdl("landscape", *flags)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.splitlines()) <= 5
    assert not Path(RUN, "landscape").exists()


@pytest.fixture(scope="module")
def one_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, a run of another net, and a file."""
    import contextlib
    import io
    import os

    from helpers import CONFIGS

    from gdlightning.__main__ import main

    folder, before = tmp_path_factory.mktemp("one"), Path.cwd()
    os.chdir(folder)
    try:
        short = (*QUIET, "--trainer.max_epochs", "1", "--config", str(CONFIGS / "tabular.yaml"))
        with contextlib.redirect_stdout(io.StringIO()):
            assert main(["fit", *short]) == 0
            assert main(["fit", *short, "--model.net.hidden", "[8]", "--run_root", "x"]) == 0
        Path("x/tabular").rename("other")
        Path("file").write_text("")
    finally:
        os.chdir(before)
    return folder
