"""Optimizer names: any spelling, class paths and custom optimizers, with imports only on use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import CONFIGS, QUIET, Run

import gdlightning as gdl
from gdlightning.optimizers.registry import entries, find, load


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("AdamW", "adamw"),
        ("adam-w", "adamw"),
        ("SGD", "sgd"),
        ("sgd-nesterov", "sgd"),
        ("ScheduleFree AdamW", "schedule-free-adamw"),
        ("LBFGS", "lbfgs"),
    ],
)
def test_names_in_any_spelling(given: str, name: str) -> None:
    assert find(given).name == name


def test_class_path() -> None:
    assert load(find("torch.optim.Rprop")) is torch.optim.Rprop
    with pytest.raises(gdl.UserError, match="not installed"):
        find("no_such_module.Thing")
    with pytest.raises(gdl.UserError, match=r"is not a torch\.optim\.Optimizer"):
        find("torch.nn.Linear")


def test_misspelt_name_gets_a_suggestion() -> None:
    with pytest.raises(gdl.UserError, match="Did you mean adamw"):
        find("adamwv")


def test_custom_optimizer_is_listed_found_and_suggested() -> None:
    @gdl.register("halving-for-this-test", summary="half a step")
    class Halving(torch.optim.SGD):
        pass

    assert load(find("Halving For This Test")) is Halving
    assert [e.summary for e in entries("halving-for*")] == ["half a step"]
    with pytest.raises(gdl.UserError, match="halving-for-this-test"):
        find("halving-for-this-tset")
    with pytest.raises(gdl.UserError, match="already exists"):
        gdl.register("adamw")(Halving)


def test_entry_point_of_another_distribution_is_listed(tmp_path: Path) -> None:
    (tmp_path / "their_module.py").write_text("from torch.optim import SGD as Theirs\n")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[gdlightning.optimizers]\ntheir-sgd = their_module:Theirs\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from gdlightning.optimizers.registry import find, load\n"
        "print(find('their-sgd').summary, load(find('TheirSGD')).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["from", "theirs", "SGD"]


def test_only_the_chosen_library_is_imported() -> None:
    code = (
        "import sys, torch, gdlightning as gdl\n"
        "gdl.build(gdl.Choice.of({'name': 'adamw', 'lr': 0.1}), torch.nn.Linear(2, 2),\n"
        "          gdl.Grouping(), __import__('gdlightning.optimizers.build',\n"
        "          fromlist=['Context']).Context())\n"
        "print('pytorch_optimizer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_non_commercial_licence_is_reported(gdl: Run) -> None:
    name = next(e.name for e in entries() if not e.commercial and not e.refused and not e.needs)
    result = gdl(
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--optimizer",
        name,
        "--trainer.max_steps",
        "1",
    )
    assert result.code == 0, result.err
    assert "forbids commercial use" in result.err
