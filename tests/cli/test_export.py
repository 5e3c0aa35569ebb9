"""Exported files compute what the module does, without gdlightning and without the data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers import CONFIGS, Run
from torch import Tensor

from gdlightning.runs.load_run import restore

SHORT = (
    "--trainer.max_steps",
    "2",
    "--trainer.limit_val_batches",
    "1",
    "--trainer.limit_test_batches",
    "1",
    "--loggers",
    "csv",
)
SMALL = {
    "tabular": (),
    "tabular_regression": (),
    "forecast": ("--model.net.width", "8"),
    "vision": ("--model.net.width", "4"),
    "vision_vit": ("--model.net.width", "16", "--model.net.depth", "1"),
    "text": ("--data.limit", "20"),
    "transformer": (
        "--model.net.width",
        "16",
        "--model.net.depth",
        "1",
        "--model.net.ngrams",
        "2",
        "--data.val_fraction",
        "0.005",
        "--data.test_fraction",
        "0.005",
    ),
    "convolution": ("--model.net", "temporal-convolution", "--model.net.width", "8"),
    "encoder": ("--model.net", "transformer-encoder", "--model.net.width", "8"),
}


def train(name: str, fit: Run) -> str:
    """A short run; its folder."""
    config = "sequence" if name in ("convolution", "encoder") else name
    fit(config, *SHORT, *SMALL[name], "--name", name)
    return f"runs/{name}/version_0"


@pytest.mark.filterwarnings("ignore")  # of the exporters, about themselves
@pytest.mark.parametrize("name", SMALL)
def test_every_family_gives_the_same_outputs(name: str, fit: Run, gdl: Run) -> None:
    import onnxruntime

    run = train(name, fit)
    for suffix in ("pt2", "onnx"):
        made = gdl("export", run, "--output", f"net.{suffix}")
        assert made.code == 0, made.err
        assert "Fixed" not in made.err  # every axis that varies stays dynamic
    module, data = restore(run)
    extra = {"gdlightning.json": ""}
    program = torch.export.load("net.pt2", extra_files=extra)
    assert set(json.loads(extra["gdlightning.json"])) == {"config", "sizes", "fitted"}
    session = onnxruntime.InferenceSession("net.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["gdlightning"])["sizes"]
    for count in (1, 4, 9):
        inputs = data.example(count)
        values = [i.value for i in inputs]
        with torch.no_grad():
            wanted = module(*values)
        torch.testing.assert_close(program.module()(*values), wanted, rtol=1e-5, atol=1e-5)
        taken = {i.name for i in session.get_inputs()}
        fed = {i.name: i.value.numpy() for i in inputs if i.name in taken}
        (got,) = session.run(None, fed)
        torch.testing.assert_close(torch.from_numpy(got), wanted, rtol=1e-4, atol=1e-4)


def test_examples_are_what_loaders_give(fit: Run) -> None:
    for name in ("tabular", "vision", "convolution", "forecast", "text", "transformer"):
        _, data = restore(train(name, fit))
        made = [i.value for i in data.example(2)]
        data.setup()
        batch = data.rows["train"].take(torch.arange(2))[0]
        real = [batch] if isinstance(batch, Tensor) else list(batch)
        assert [v.dtype for v in made] == [v.dtype for v in real], name
        assert [v.ndim for v in made] == [v.ndim for v in real], name
        for example, value in zip(data.example(2), real, strict=True):
            for axis, length in enumerate(example.value.shape):
                assert axis in example.axes or value.shape[axis] == length, name


def test_weights_load_anywhere_and_training_starts_from_them(fit: Run, gdl: Run) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file

    run = train("transformer", fit)
    assert gdl("export", run, "--output", "w.safetensors").code == 0
    module, _ = restore(run)
    found = load_file("w.safetensors")
    assert set(found) == set(module.state_dict())  # tied ones under both names
    assert torch.equal(found["net.head.weight"], found["net.embedding.weight"])
    module.load_state_dict(found)
    with safe_open("w.safetensors", "pt") as file:
        metadata = json.loads(file.metadata()["gdlightning"])
    assert metadata["config"]["model"]["name"] == "language-modelling"
    assert metadata["sizes"]["vocab_size"] == 256
    again = fit(
        "transformer",
        *SHORT,
        *SMALL["transformer"],
        "--name",
        "again",
        "--init_from",
        "w.safetensors",
        "--optimizer.lr",
        "0",
        "--trainer.max_steps",
        "1",
    )
    assert "Starting from w.safetensors" in again.out
    tuned, _ = restore("runs/again")
    for key, value in tuned.state_dict().items():
        assert torch.equal(value, found[key]), key


def test_weights_of_schedule_free_runs_are_those_of_evaluation(fit: Run, gdl: Run) -> None:
    from safetensors.torch import load_file

    fit("tabular", *SHORT, "--optimizer", "schedule-free-adamw")
    assert gdl("export", "runs/tabular", "--output", "w.safetensors").code == 0
    module, _ = restore("runs/tabular")
    for key, value in load_file("w.safetensors").items():
        assert torch.equal(value, module.state_dict()[key])


def test_the_data_need_not_be_there(fit: Run, gdl: Run) -> None:
    rows = [f"{k},{'red' if k % 3 else 'blue'},{k / 7}" for k in range(40)]
    Path("t.csv").write_text("size,colour,price\n" + "\n".join(rows) + "\n")
    fit(
        "tabular_regression",
        *SHORT,
        "--data",
        "tabular",
        "--data.path",
        "t.csv",
        "--data.target",
        "price",
    )
    Path("t.csv").unlink()
    shutil.copy("runs/tabular_regression/version_0/checkpoints/last.ckpt", "alone.ckpt")
    shutil.rmtree("runs")
    for name in ("net.pt2", "w.safetensors"):
        made = gdl("export", "alone.ckpt", "--output", name)
        assert made.code == 0, made.err


FOREIGN = """
import lightning.pytorch as L
import torch

class Line(L.LightningModule):
    def __init__(self, known: bool = True):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)
        if known:
            self.example_input_array = torch.zeros(1, 3)
    def forward(self, x):
        return self.layer(x)
    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()
    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 3)))
"""


def test_modules_from_elsewhere(fit: Run, gdl: Run) -> None:
    Path("elsewhere_export.py").write_text(FOREIGN)
    flags = (
        "--model",
        "elsewhere_export.Line",
        "--trainer.max_steps",
        "1",
        "--trainer.enable_progress_bar",
        "false",
        "--trainer.accelerator",
        "cpu",
    )
    assert gdl("fit", *flags, "--name", "known").code == 0
    made = gdl("export", "runs/known", "--output", "net.pt2")
    assert made.code == 0, made.err
    assert torch.export.load("net.pt2").module()(torch.zeros(7, 3)).shape == (7, 2)
    unknown = gdl("fit", *flags, "--name", "unknown", "--model.known", "false")
    assert unknown.code == 0, unknown.err
    refused = gdl("export", "runs/unknown", "--output", "net2.pt2")
    assert refused.code == 2
    assert "example_input_array" in refused.err
    assert gdl("export", "runs/unknown", "--output", "w.safetensors").code == 0


def test_what_cannot_be_exported_is_told_and_leaves_no_file(fit: Run, gdl: Run) -> None:
    fit("sequence", *SHORT, "--model.net.width", "4")
    for name, words in {
        "net.pt2": ["cannot be exported as pt2", "safetensors"],
        "net.onnx": ["cannot be exported as onnx", "safetensors"],
        "net.bin": ["net.bin", ".onnx"],
        "nowhere/net.pt2": ["nowhere", "folder"],
    }.items():
        refused = gdl("export", "runs/sequence", "--output", name)
        assert refused.code == 2
        lines = [li for li in refused.err.splitlines() if not li.startswith("Using the")]
        assert len(lines) <= 5
        assert all(word in refused.err for word in words), refused.err
    assert not list(Path().glob("*net*"))
    assert gdl("export", "runs/sequence", "--output", "w.bin", "--format", "safetensors").code == 0


def test_a_missing_package_is_named(fit: Run, gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    fit("tabular", *SHORT)
    find = importlib.util.find_spec
    for package, name in {"safetensors": "w.safetensors", "onnxscript": "net.onnx"}.items():
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda n, *rest, gone=package: None if n == gone else find(n, *rest),
        )
        refused = gdl("export", "runs/tabular", "--output", name)
        assert refused.code == 2
        assert "gdlightning[export]" in refused.err
        assert package in refused.err


def test_every_config_is_tried() -> None:
    assert {p.stem for p in CONFIGS.glob("*.yaml")} - {"sequence"} <= set(SMALL)
