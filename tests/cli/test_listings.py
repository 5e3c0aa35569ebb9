"""What can be named, for people and as JSON."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from helpers import Run


def test_every_optimizer_of_both_libraries_has_a_name(gdl: Run) -> None:
    import pytorch_optimizer
    import torch

    found = gdl("optimizers", "--format", "json").json()
    targets = {r["target"].rpartition(":")[2] for r in found}
    theirs = {n for n, c in vars(torch.optim).items() if inspect.isclass(c)} - {"Optimizer"}
    assert len(theirs) >= 15
    assert theirs <= targets
    supported = {
        pytorch_optimizer.load_optimizer(n) for n in pytorch_optimizer.get_supported_optimizers()
    }
    assert len(supported) >= 120
    assert {c.__name__ for c in supported} <= targets


@pytest.mark.parametrize("spelling", ["adamw", "AdamW", "ADAM-W", "adam_w"])
def test_any_spelling_finds_it(spelling: str, gdl: Run) -> None:
    assert gdl("optimizers", "show", spelling, "--format", "json").json()["name"] == "adamw"


def test_show_tells_options_with_types_and_defaults(gdl: Run) -> None:
    options = {
        o["name"]: o for o in gdl("optimizers", "show", "sgd", "--format", "json").json()["options"]
    }
    assert options["momentum"] == {
        "name": "momentum",
        "type": "float",
        "default": 0.9,
        "help": "momentum factor",
    }
    text = gdl("optimizers", "show", "muon").out
    for word in ("Newton", "companion", "https://", "lr"):
        assert word in text


def test_schedules_are_drawn(gdl: Run) -> None:
    drawn = gdl("schedules", "cosine", "--warmup", "10%").out
    assert "⠀" in drawn
    assert gdl("schedules", "--png", "all.png").code == 0
    assert Path("all.png").read_bytes().startswith(b"\x89PNG")
    assert len(gdl("schedules", "--format", "json").json()) == 12


@pytest.mark.parametrize(
    "kind", ["model", "net", "data", "optimizer", "schedule", "clip", "wrapper", "callback"]
)
def test_lists(kind: str, gdl: Run) -> None:
    found = gdl("list", kind, "--format", "json").json()
    assert all(r["summary"] for r in found)
    assert [r["name"] for r in found] == sorted(r["name"] for r in found)
    assert found[0]["name"] in gdl("list", kind).out


def test_help_of_a_choice_names_its_options(gdl: Run) -> None:
    assert "--model.net.hidden" in gdl("fit", "--model.net.help", "mlp").out
    assert "betas" in gdl("fit", "--optimizer.help", "adamw").out
    assert "--optimizer.wrappers" in gdl("fit", "--optimizer.help", "adamw").out
    assert "--trainer.max_epochs" in gdl("fit", "--trainer.help").out
    assert "--seed" in gdl("fit", "--help").out


def test_an_optimizer_that_forbids_commerce_says_so(gdl: Run) -> None:
    restricted = [r for r in gdl("optimizers", "--format", "json").json() if not r["commercial"]]
    assert restricted
    assert "no commercial use" in gdl("optimizers", "show", restricted[0]["name"]).out
