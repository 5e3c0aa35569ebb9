"""``gdl curvature`` on runs of every family."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers import QUIET, Run
from PIL import Image

from gdlightning.runs.load_run import restore

SHORT = (
    "--trainer.max_steps",
    "3",
    "--trainer.limit_val_batches",
    "1",
    "--trainer.limit_test_batches",
    "1",
    "--loggers",
    "csv",
)
QUICK = ("--batches", "2", "--top", "2", "--bottom", "1", "--steps", "6", "--probes", "2")
SMALL = {
    "forecast": ("--model.net.width", "8"),
    "vision": ("--model.net.width", "4"),
    "vision_vit": ("--model.net.width", "16", "--model.net.depth", "1"),
    "sequence": ("--model.net.width", "8"),
    "text": ("--data.limit", "20"),
    "transformer": (
        "--model.net.width",
        "16",
        "--model.net.depth",
        "1",
        "--data.val_fraction",
        "0.005",
        "--data.test_fraction",
        "0.005",
        "--data.context",
        "32",
    ),
}


def measured(gdl: Run, *arguments: str) -> dict[str, Any]:
    result = gdl("curvature", *arguments, "--format", "json")
    assert result.code == 0, result.err
    record: dict[str, Any] = result.json()
    return record


def test_full_batch_gradient_descent_beside_a_dense_hessian(fit: Run, gdl: Run) -> None:
    fit(
        "tabular",
        *SHORT,
        "--optimizer",
        "gd",
        "--optimizer.lr",
        "0.5",
        "--data.batch_size",
        "full",
        "--model.net.hidden",
        "[4]",
        "--schedule",
        "linear",
    )
    record = measured(
        gdl, "runs/tabular", "--precision", "64", "--steps", "140", "--output", "all.json"
    )
    assert json.loads(Path("all.json").read_text()) == record
    module, data = restore("runs/tabular")
    data.setup()
    (numeric, codes), targets = data.rows["train"].take(torch.arange(len(data.rows["train"])))
    module.double()
    named = dict(module.named_parameters())
    start = torch.nn.utils.parameters_to_vector(named.values()).detach()

    def loss(vector: torch.Tensor) -> torch.Tensor:
        pieces = vector.split([p.numel() for p in named.values()])
        weights = {k: v.view_as(p) for (k, p), v in zip(named.items(), pieces, strict=True)}
        out = torch.func.functional_call(module, weights, (numeric.double(), codes))
        return F.cross_entropy(out, targets)

    dense: Any = torch.autograd.functional.hessian(loss, start)
    values = torch.linalg.eigvalsh(dense)
    size = float(values.abs().max())
    assert record["parameters"] == len(values)
    assert record["examples"] == record["of"] == len(targets)
    for found, wanted in zip(record["top"], values.flip(0), strict=False):
        assert found["value"] == pytest.approx(float(wanted), abs=1e-4 * size)
        assert found["converged"]
        assert found["sampling"] == 0
    assert record["bottom"][0]["value"] == pytest.approx(float(values[0]), abs=1e-4 * size)
    trace = record["trace"]
    assert abs(trace["value"] - float(values.sum())) <= 4 * trace["bound"] + 1e-6
    weights = start.abs()
    scaled = torch.linalg.eigvalsh(weights[:, None] * dense * weights)[-1]
    assert record["adaptive_sharpness"]["value"] == pytest.approx(float(scaled), rel=1e-3)
    stands = record["stability"]
    assert stands["limit"] == 2
    assert not stands["divided"]
    assert stands["peak"] == 0.5
    assert stands["at_peak"]["value"] == pytest.approx(0.5 * record["top"][0]["value"])
    assert stands["product"]["value"] == pytest.approx(
        stands["lr"] * record["top"][0]["value"], abs=1e-9
    )


def test_adamw_counts_in_units_of_what_it_divides_by(fit: Run, gdl: Run) -> None:
    fit(
        "tabular",
        *SHORT,
        "--model.net.hidden",
        "[3]",
        "--schedule",
        "constant",
        "--groups.layer_decay",
        "0.5",
        "--data.batch_size",
        "full",
    )
    record = measured(gdl, "runs/tabular", "--precision", "64", "--steps", "100")
    stands = record["stability"]
    assert stands["limit"] == pytest.approx(38)
    assert stands["divided"]
    module, data = restore("runs/tabular")
    data.setup()
    (numeric, codes), targets = data.rows["train"].take(torch.arange(len(data.rows["train"])))
    module.double()
    state = torch.load("runs/tabular/version_0/checkpoints/last.ckpt", weights_only=True)
    state = state["optimizer_states"][0]
    saved = {i: g["lr"] for g in state["param_groups"] for i in g["params"]}
    kept = [(i, s) for i, s in state["state"].items()]
    slopes, scales = [], []
    loss = F.cross_entropy(module(numeric.double(), codes), targets)
    order = _by_shape(module, [s["exp_avg"].shape for _, s in kept])
    gradients = torch.autograd.grad(loss, order, create_graph=True)
    for (number, own), gradient in zip(kept, gradients, strict=True):
        step = float(own["step"])
        root = (own["exp_avg_sq"].double() / (1 - 0.999**step)).sqrt() + 1e-8
        scales.append((saved[number] / (root * (1 - 0.9**step))).flatten())
        slopes.append(gradient.flatten())
    rows = [
        torch.cat([r.flatten() for r in torch.autograd.grad(s, order, retain_graph=True)])
        for s in torch.cat(slopes)
    ]
    root_scale = torch.cat(scales).sqrt()
    wanted = torch.linalg.eigvalsh(root_scale[:, None] * torch.stack(rows) * root_scale)[-1]
    assert stands["product"]["value"] == pytest.approx(float(wanted), rel=1e-3)


def _by_shape(module: torch.nn.Module, shapes: list[torch.Size]) -> list[torch.nn.Parameter]:
    """The parameters in the order of the optimizer's states; each has a shape of its own here."""
    by_shape = {p.shape: p for p in module.parameters()}
    assert len(by_shape) == len(list(module.parameters()))
    return [by_shape[shape] for shape in shapes]


@pytest.mark.parametrize("name", SMALL)
def test_every_family(name: str, fit: Run, gdl: Run) -> None:
    fit(name, *SHORT, *SMALL[name])
    record = measured(gdl, f"runs/{name}", *QUICK)
    assert record["batches"] == 2
    assert 0 < record["examples"] < record["of"]
    everything = [*record["top"], *record["bottom"], record["trace"], record["adaptive_sharpness"]]
    for found in everything:
        assert all(torch.isfinite(torch.tensor(found[k])) for k in ("value", "bound", "sampling"))
    assert record["top"][0]["value"] > 0
    assert record["adaptive_sharpness"]["value"] > 0
    assert record["stability"]["limit"] > 0


FOREIGN = """
import lightning.pytorch as L
import torch

class Table(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(6, 3, sparse=True)
        self.norm = torch.nn.BatchNorm1d(3)
        self.out = torch.nn.Linear(3, 1)
    def training_step(self, batch, batch_idx):
        loss = self.out(self.norm(self.table(batch[0]))).square().mean()
        self.log("loss", loss)
        return {"loss": loss}
    def train_dataloader(self):
        words = torch.utils.data.TensorDataset(torch.arange(24) % 6)
        return torch.utils.data.DataLoader(words, 8)

class Needy(Table):
    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx)["loss"] * self.trainer.num_devices

class Data(L.LightningDataModule):
    train_dataloader = Table.train_dataloader
"""


def test_modules_from_elsewhere(gdl: Run) -> None:
    Path("elsewhere_curved.py").write_text(FOREIGN)
    flags = (*QUIET, "--trainer.max_steps", "2", "--optimizer", "sgd", "--loggers", "csv")
    for name, more in {
        "Table": (),
        "Data": ("--data", "elsewhere_curved.Data"),
        "Needy": (),
    }.items():
        module = "Needy" if name == "Needy" else "Table"
        trained = gdl("fit", "--model", f"elsewhere_curved.{module}", "--name", name, *flags, *more)
        assert trained.code == 0, trained.err
    for name in ("Table", "Data"):
        record = measured(gdl, f"runs/{name}", "--steps", "12")
        assert (record["examples"], record["of"], record["batches"]) == (24, 24, 3)
        assert record["parameters"] == 28
        assert record["stability"]["limit"] == pytest.approx(2 * 1.9 / 2.8)
        refused = gdl("curvature", f"runs/{name}", "--split", "val")
        assert refused.code == 2
        assert "The val split of this run's data is empty." in refused.err
    refused = gdl("curvature", "runs/Needy")
    assert refused.code == 2
    assert "without a Trainer" in refused.err


def test_text_picture_and_the_same_figures_again(fit: Run, gdl: Run) -> None:
    fit("tabular", *SHORT, "--optimizer", "sgd")
    result = gdl("curvature", "runs/tabular", *QUICK, "--png", "spectrum.png")
    assert result.code == 0, result.err
    for words in (
        "64 of 399 training examples in 2 batches",
        "largest eigenvalues",
        "trace",
        "± ",
        "sgd is stable up to 1.357 = 2(1+β)/(1+2β)",
        "does not predict test accuracy",
        "Wrote spectrum.png",
    ):
        assert words in result.out
    with Image.open("spectrum.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 20
    first = measured(gdl, "runs/tabular", *QUICK)
    assert measured(gdl, "runs/tabular", *QUICK) == first
    assert measured(gdl, "runs/tabular", *QUICK, "--seed", "1") != first
    held_out = gdl("curvature", "runs/tabular/version_0", *QUICK, "--split", "val")
    assert "57 of 57 validation examples in 1 batch:" in held_out.out
    assert "stable" not in held_out.out


def test_what_optimizers_bear(fit: Run, gdl: Run) -> None:
    """Tried where the rule is not known; said to be unknown where there is none."""
    for name, words in {
        "aggmo": "aggmo is stable up to 2.957 as measured",
        "lion": "The stability limit of lion is not known",
    }.items():
        fit("tabular", *SHORT, "--optimizer", name, "--name", name)
        result = gdl("curvature", f"runs/{name}", *QUICK)
        assert result.code == 0, result.err
        assert words in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("runs/nowhere",), ["runs/nowhere"]),
        (("runs/tabular", "--batches", "0"), ["--batches is 0", "1 or more"]),
        (("runs/tabular", "--top", "30", "--bottom", "20"), ["--steps 40", "50"]),
        (("runs/tabular", "--png", "spectrum.txt"), ["spectrum.txt", ".png"]),
        (("runs/tabular", "--png", "nowhere/a.png"), ["nowhere", "folder"]),
        (("runs/tabular", "--output", "a.csv"), ["a.csv", ".json"]),
        (("runs/tabular", "--seed", "-1"), ["--seed is -1"]),
    ],
)
def test_bad_input_is_told_and_leaves_no_file(
    arguments: tuple[str, ...], words: list[str], gdl: Run
) -> None:
    result = gdl("curvature", *arguments)
    assert result.code == 2
    assert len(result.err.strip().splitlines()) <= 5
    assert all(word in result.err for word in words), result.err
    assert not list(Path().iterdir())


def test_weights_that_are_not_finite(fit: Run, gdl: Run) -> None:
    fit("tabular", *SHORT)
    path = Path("runs/tabular/version_0/checkpoints/last.ckpt")
    content = torch.load(path, weights_only=True)
    for value in content["state_dict"].values():
        value.mul_(torch.nan)
    from gdlightning.storage.checkpoint_file import write

    write(content, Path("broken.ckpt"))
    result = gdl("curvature", "broken.ckpt", "--png", "a.png", "--output", "a.json")
    assert result.code == 2
    assert "not finite" in result.err
    assert not list(Path().glob("a.*"))


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\nfrom gdlightning.__main__ import main\n"
        "try: main(['curvature', '--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")
