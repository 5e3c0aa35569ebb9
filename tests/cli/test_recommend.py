"""gdl recommend prints YAML that runs; optimizer: auto settles before training, and for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from helpers import CONFIGS, QUIET, Run, metrics

TABULAR = ("--config", str(CONFIGS / "tabular.yaml"))
AUTO = ("fit", *TABULAR, *QUIET, "--optimizer", "auto", "--trainer.max_epochs", "2")


@pytest.mark.parametrize("config", ["tabular", "text", "vision_vit"])
def test_what_is_printed_is_a_config(gdl: Run, config: str) -> None:
    done = gdl("recommend", "--config", str(CONFIGS / f"{config}.yaml"))
    assert done.code == 0, done.err
    whole = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())
    Path("pasted.yaml").write_text(yaml.safe_dump(whole | yaml.safe_load(done.out)))
    assert gdl("fit", "--config", "pasted.yaml", "--print_config").code == 0


def test_reasons_have_sources(gdl: Run) -> None:
    done = gdl("recommend", *TABULAR, "--format", "json")
    found = done.json()
    assert found["config"]["optimizer"]["name"] == "adamw"
    assert found["facts"]["steps"] == 260
    assert all(r["source"] for r in found["reasons"])


def test_auto_writes_what_it_chose_and_is_exact_on_re_run(gdl: Run) -> None:
    done = gdl(*AUTO)
    assert done.code == 0, done.err
    assert "optimizer auto is adamw" in done.err
    written = yaml.safe_load(Path("runs/tabular/version_0/config.yaml").read_text())
    assert written["optimizer"]["name"] == "adamw"
    assert written["optimizer"]["lr"] == pytest.approx(3e-3)
    assert written["schedule"]["name"] == "cosine"  # the config's own
    again = gdl("fit", "--config", "runs/tabular/version_0/config.yaml", *QUIET)
    assert again.code == 0, again.err
    assert gdl(*AUTO).code == 0
    assert metrics("tabular", 0) == metrics("tabular", 1) == metrics("tabular", 2)


def test_auto_that_measures(gdl: Run) -> None:
    done = gdl(*AUTO, "--optimizer.measure", "true")
    assert done.code == 0, done.err
    assert "Measured with" in done.err
    written = yaml.safe_load(Path("runs/tabular/version_0/config.yaml").read_text())
    assert written["optimizer"]["name"] in ("adamw", "sgd")
    assert "measure" not in written["optimizer"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--optimizer.lr", "0.1"), "auto has no option lr"),
        (("--optimizer.measure", "maybe"), "true or false"),
    ],
)
def test_options_that_auto_has_not(gdl: Run, flags: tuple[str, str], said: str) -> None:
    done = gdl(*AUTO, *flags)
    assert done.code == 2
    assert said in done.err
    assert not Path("runs").exists()


def test_a_config_without_an_end_is_refused(gdl: Run) -> None:
    given = yaml.safe_load((CONFIGS / "tabular.yaml").read_text()) | {"trainer": {}}
    Path("endless.yaml").write_text(json.dumps(given))
    done = gdl("recommend", "--config", "endless.yaml")
    assert done.code == 2
    assert "does not set the length of training" in done.err
