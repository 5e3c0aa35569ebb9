"""Compositions of optimizers from YAML and from the command line."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers import CONFIGS, QUIET, Run, metrics

SHORT = ("--trainer.max_epochs", "3", "--clip", "none")
COMPOSED: dict[str, dict[str, Any]] = {
    "companion": {"name": "soap", "lr": 3e-3, "companion": {"name": "adamw", "lr": 1e-3}},
    "parts": {
        "name": "adamw",
        "lr": 1e-3,
        "parts": [{"pattern": "net.head.*", "name": "lion", "lr": 3e-4, "betas": [0.9, 0.98]}],
    },
    "wrappers": {
        "name": "sgd",
        "lr": 0.05,
        "wrappers": [{"name": "lookahead", "k": 3}, "cautious", "centralize"],
    },
    "in_backward": {"name": "adamw", "lr": 1e-3, "in_backward": True},
}


def written(optimizer: Any) -> str:
    """configs/tabular.yaml with another optimizer, as a file."""
    config = yaml.safe_load((CONFIGS / "tabular.yaml").read_text()) | {"optimizer": optimizer}
    Path("config.yaml").write_text(yaml.safe_dump(config))
    return "config.yaml"


@pytest.mark.parametrize("name", COMPOSED)
def test_from_yaml_it_learns_and_goes_on_with_the_same_bits(name: str, gdl: Run) -> None:
    command = ("fit", "--config", written(COMPOSED[name]), *QUIET, *SHORT)
    whole = gdl(*command, "--name", "whole")
    assert whole.code == 0, whole.err
    assert metrics("whole")["test_auroc"] > 0.9
    kept = ("--checkpoint.every_n_steps", "3", "--name", "parts")
    assert gdl(*command, *kept, "--max_time", "0.01s").code == 75
    resumed = gdl(*command, *kept, "--resume", "auto")
    assert resumed.code == 0, resumed.err
    assert metrics("whole") == metrics("parts")
    states = [
        torch.load(f"runs/{n}/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for n in ("whole", "parts")
    ]
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())


@pytest.mark.parametrize("name", COMPOSED)
def test_the_printed_config_means_the_same(name: str, gdl: Run) -> None:
    printed = gdl("fit", "--config", written(COMPOSED[name]), "--print_config").out
    Path("again.yaml").write_text(printed)
    assert gdl("fit", "--config", "again.yaml", "--print_config").out == printed
    section = yaml.safe_load(printed)["optimizer"]
    for key, value in COMPOSED[name].items():
        if key == "companion":
            assert section[key].items() >= value.items()
        else:
            assert section[key] == value


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--optimizer.wrappers", "lookahead,cautious"], {"wrappers": ["lookahead", "cautious"]}),
        (["--optimizer.wrappers", "lookahead"], {"wrappers": ["lookahead"]}),
        (["--optimizer.wrappers", '["lookahead"]'], {"wrappers": ["lookahead"]}),
        (
            ["--optimizer.wrappers", "[{name: lookahead, alpha: 8e-1}]"],
            {"wrappers": [{"name": "lookahead", "alpha": 0.8}]},
        ),
        (
            ["--optimizer.parts", "[{pattern: 'net.head.*', name: sgd, lr: 1e-2}]"],
            {"parts": [{"pattern": "net.head.*", "name": "sgd", "lr": 0.01}]},
        ),
        (["--optimizer.in_backward", "true"], {"in_backward": True}),
    ],
)
def test_from_flags(flags: list[str], wanted: dict[str, Any], gdl: Run) -> None:
    config = str(CONFIGS / "tabular.yaml")
    printed = gdl("fit", "--config", config, *flags, "--print_config")
    assert printed.code == 0, printed.err
    assert yaml.safe_load(printed.out)["optimizer"].items() >= wanted.items()
    other = gdl("fit", "--config", config, *flags, "--optimizer", "lion", "--print_config")
    fresh = yaml.safe_load(other.out)["optimizer"]  # a new name starts the section afresh
    assert (fresh["parts"], fresh["wrappers"], fresh["in_backward"]) == (None, None, False)


def test_a_companion_from_flags(gdl: Run) -> None:
    flags = (
        "--optimizer",
        "soap",
        "--optimizer.companion",
        "lion",
        "--optimizer.companion.lr",
        "1e-4",
    )
    result = gdl("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, *SHORT, *flags)
    assert result.code == 0, result.err
    rows = [line.split() for line in result.out.splitlines() if line.startswith(("soap", "lion"))]
    assert [r[:2] for r in rows] == [["soap", "matrix"], ["lion", "vector"], ["lion", "output"]]


BAD: dict[str, tuple[list[str], list[str]]] = {
    "wrapper": (
        ["--optimizer.wrappers", "lookahed"],
        ["optimizer.wrappers", "lookahed", "lookahead"],
    ),
    "option of a wrapper": (
        ["--optimizer.wrappers", "[{name: lookahead, steps: 5}]"],
        ["lookahead", "steps", "k, alpha"],
    ),
    "value of a wrapper": (
        ["--optimizer.wrappers", "[{name: lookahead, k: often}]"],
        ["optimizer.wrappers.k", "often", "an integer"],
    ),
    "range of a wrapper": (
        ["--optimizer.wrappers", "[{name: lookahead, k: 0}]"],
        ["optimizer.wrappers", "k must be at least 1"],
    ),
    "wrappers": (["--optimizer.wrapers", "lookahead"], ["wrapers", "wrappers"]),
    "pattern": (
        ["--optimizer.parts", "[{pattern: 'net.haed.*', name: sgd}]"],
        ["optimizer.parts", "net.haed.*", "net.head"],
    ),
    "part": (["--optimizer.parts", "[{pattern: 'net.*', name: sdg}]"], ["optimizer.parts", "sgd"]),
    "key of a part": (
        ["--optimizer.parts", "[{patern: 'net.*', name: sgd}]"],
        ["patern", "pattern"],
    ),
    "option of a part": (
        ["--optimizer.parts", "[{pattern: 'net.head.*', name: sgd, lrr: 1}]"],
        ["optimizer.parts.lrr", "lr"],
    ),
    "value of a part": (
        ["--optimizer.parts", "[{pattern: 'net.head.*', name: sgd, lr: high}]"],
        ["optimizer.parts.lr", "high", "number"],
    ),
    "parts": (["--optimizer.parts", "lion"], ["optimizer.parts", "lion"]),
    "companion": (["--optimizer.companion", "adamv"], ["optimizer.companion", "adamv", "adam"]),
    "option of a companion": (
        ["--optimizer.companion", "lion", "--optimizer.companion.lrr", "1"],
        ["optimizer.companion.lrr", "lr"],
    ),
    "in backward": (["--optimizer.in_backward", "yep"], ["optimizer.in_backward", "yep"]),
    "clip in backward": (
        ["--optimizer.in_backward", "true", "--clip", "norm"],
        ["clip", "optimizer.in_backward"],
    ),
    "accumulation in backward": (
        [
            "--optimizer.in_backward",
            "true",
            "--clip",
            "none",
            "--trainer.accumulate_grad_batches",
            "2",
        ],
        ["trainer.accumulate_grad_batches", "optimizer.in_backward"],
    ),
    "pieces in backward": (
        ["--optimizer.in_backward", "true", "--clip", "none", "--data.micro_batch_size", "8"],
        ["data.micro_batch_size", "optimizer.in_backward"],
    ),
    "devices in backward": (
        ["--optimizer.in_backward", "true", "--clip", "none", "--trainer.devices", "2"],
        ["trainer.devices", "optimizer.in_backward"],
    ),
    "sam in backward": (
        ["--optimizer", "sam", "--optimizer.in_backward", "true", "--clip", "none"],
        ["optimizer.in_backward", "sam"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_ones_are_told_before_a_folder_is_made(case: str, gdl: Run) -> None:
    flags, named = BAD[case]
    result = gdl("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, *flags)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) <= 5, result.err
    assert all(word in result.err for word in named), result.err
    assert not Path("runs").exists()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_embeddings_with_sparse_gradients_by_pattern(fit: Run) -> None:
    fit(
        "text",
        "--trainer.max_steps",
        "3",
        "--trainer.limit_val_batches",
        "1",
        "--trainer.limit_test_batches",
        "1",
        "--clip",
        "none",
        "--optimizer",
        "adamw",
        "--optimizer.parts",
        "[{pattern: 'net.weights.*', name: sparse-adam}]",
    )
    saved = torch.load(
        next(Path("runs/text/version_0/checkpoints").glob("last.ckpt")), weights_only=True
    )
    assert saved["optimizer_states"][0]["names"] == ["adamw", "sparse-adam"]


def test_a_loss_that_is_not_finite_makes_no_step_in_backward(
    gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bad.py").write_text(
        "from gdlightning.tasks.tabular import TabularClassification as Own\n"
        "class Bad(Own):\n"
        "    def loss(self, batch):\n"
        "        return super().loss(batch) * float('nan')\n"
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        *SHORT,
        "--model",
        "bad.Bad",
        "--optimizer.in_backward",
        "true",
    )
    assert result.code == 3, result.err
    assert "loss nan" in result.err


def test_the_update_is_measured_over_the_step_in_backward(fit: Run) -> None:
    ratios = []
    for in_backward in ("false", "true"):
        fit("tabular", *SHORT, "--name", in_backward, "--optimizer.in_backward", in_backward)
        with Path(f"runs/{in_backward}/version_0/metrics.csv").open() as stream:
            ratios.append(
                [float(r["update_ratio"]) for r in csv.DictReader(stream) if r["update_ratio"]]
            )
    assert len(ratios[0]) > 1
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-3)
