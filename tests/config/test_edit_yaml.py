"""A number is written into a config, and nothing else changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from helpers import CONFIGS
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.config.edit_yaml import rewrite, rewritten
from gdlightning.config.settings import flatten, read_yaml
from gdlightning.errors import UserError

KEY = "optimizer.lr"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("optimizer: {name: lion, lr: 1e-4}  # a\n", "optimizer: {name: lion, lr: 0.02}  # a\n"),
        ("optimizer: lion  # a\nseed: 1\n", "optimizer: {name: lion, lr: 0.02}  # a\nseed: 1\n"),
        ("optimizer: {name: lion}\n", "optimizer: {name: lion, lr: 0.02}\n"),
        ("optimizer: {}\n", "optimizer: {lr: 0.02}\n"),
        (
            "optimizer:\n  # mine\n  name: lion\n  lr: 1.0 # big\n",
            "optimizer:\n  # mine\n  name: lion\n  lr: 0.02 # big\n",
        ),
        (
            "optimizer:\n  name: lion # a\nseed: 1\n",
            "optimizer:\n  name: lion # a\n  lr: 0.02\nseed: 1\n",
        ),
        (
            "optimizer:\n  name: lion # a\n  # the pair\n  betas: [0.9, 0.99]\n",
            "optimizer:\n  name: lion # a\n  # the pair\n  lr: 0.02\n  betas: [0.9, 0.99]\n",
        ),
        ("optimizer.name: lion\noptimizer.lr: 3\n", "optimizer.name: lion\noptimizer.lr: 0.02\n"),
        ("seed: 1", "seed: 1\noptimizer: {lr: 0.02}\n"),
        ("", "optimizer: {lr: 0.02}\n"),
        (
            "seed: 1\r\noptimizer:\r\n  name: lion\r\n",
            "seed: 1\r\noptimizer:\r\n  name: lion\r\n  lr: 0.02\r\n",
        ),
        (
            "name: 'ä: \"optimizer\"' # optimizer: {lr: 1}\noptimizer: {lr: 5, name: lion}\n",
            "name: 'ä: \"optimizer\"' # optimizer: {lr: 1}\noptimizer: {lr: 0.02, name: lion}\n",
        ),
    ],
)
def test_layouts(before: str, after: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(before.encode())
    rewrite(str(file), KEY, 0.02)
    assert file.read_bytes().decode() == after


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
@given(value=st.floats(1e-9, 1e3))
def test_shipped_configs_differ_in_one_number(config: Path, value: float) -> None:
    text = rewritten(str(config), KEY, value)
    old, new = config.read_text().splitlines(), text.splitlines()
    assert sum(a != b for a, b in zip(old, new, strict=True)) <= 1
    assert yaml.safe_load(text)["optimizer"]["name"] == read_yaml(str(config))["optimizer"]["name"]


def test_an_optimizer_within_another(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("optimizer:\n  name: sam\n  base: sgd # plain\n")
    rewrite(str(file), "optimizer.base.lr", 0.1)
    assert file.read_text() == "optimizer:\n  name: sam\n  base: {name: sgd, lr: 0.1} # plain\n"
    assert {s.key: s.value for s in flatten(read_yaml(str(file)), "")} == {
        "optimizer.name": "sam",
        "optimizer.base.name": "sgd",
        "optimizer.base.lr": 0.1,
    }


@pytest.mark.parametrize(
    "text",
    [
        "all: &o {name: lion, lr: 1}\noptimizer: *o\n",  # would change what it is shared with
        "optimizer: [lion]\n",
        "optimizer: |\n  lion\n",
        "{seed: 1}\n",
        "seed: 1\n---\n",
    ],
)
def test_layouts_that_are_left_alone(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(UserError):
        rewrite(str(file), KEY, 0.02)
    assert file.read_text() == text
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_links_and_modes_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yaml", tmp_path / "config.yaml"
    file.write_text("optimizer: adam\n")
    file.chmod(0o640)
    link.symlink_to(file)
    rewrite(str(link), KEY, 0.02)
    assert link.is_symlink()
    assert file.read_text() == "optimizer: {name: adam, lr: 0.02}\n"
    assert file.stat().st_mode & 0o777 == 0o640
