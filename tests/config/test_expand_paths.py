"""``~`` and variables in paths, and names that would lead out of the run root."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers import CONFIGS, QUIET, Run, contents

from gdlightning.config.expand_paths import expand
from gdlightning.errors import UserError

TABULAR = ("--config", str(CONFIGS / "tabular.yaml"), *QUIET)


def test_home_and_variables_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("SCRATCH", "/scratch")
    for given, meant in {
        "runs": "runs",
        "~": "/home/ada",
        "~/runs": "/home/ada/runs",
        "a~/b": "a~/b",
        "$SCRATCH/x": "/scratch/x",
        "${SCRATCH}/$SCRATCH": "/scratch//scratch",
        "5$": "5$",
    }.items():
        assert expand(given, "run_root") == meant


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("$UNSET/x", "run_root: the environment variable UNSET is not set (got $UNSET/x)"),
        ("a/${UNSET}", "variable UNSET is not set"),
        ("$EMPTY/x", "variable EMPTY is not set"),
        ("${}", r"variable ${} is not set"),
        ("~nobody-here/x", "there is no user nobody-here"),
        ("", "run_root must be the path of a file or folder (got '')"),
        ("a\0b", "(got 'a\\x00b')"),
    ],
)
def test_what_cannot_be_expanded_is_told(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNSET", raising=False)
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(UserError) as caught:
        expand(text, "run_root")
    assert told in str(caught.value)


@pytest.mark.parametrize("root", ["~/runs", "$SCRATCH/runs", "${SCRATCH}/runs"])
def test_a_run_is_in_one_place(root: str, gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("home").absolute()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SCRATCH", str(home))
    result = gdl("fit", *TABULAR, "--run_root", root, "--trainer.max_steps", "2")
    assert result.code == 0, result.err
    assert [p.name for p in Path().iterdir()] == ["home"]
    folder = home / "runs/tabular/version_0"
    assert {"config.yaml", "metrics.csv", "metrics.json", "checkpoints"} <= set(contents(folder))
    assert list(folder.glob("events*"))
    assert yaml.safe_load((folder / "config.yaml").read_text())["run_root"] == str(home / "runs")
    assert gdl("test", f"{root}/tabular").code == 0
    assert gdl("fit", "--resume", f"{root}/tabular/version_0").err.count("is finished") == 1


def test_a_variable_that_is_not_set_is_named_with_its_place(
    gdl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCRATCH", raising=False)
    Path("c.yaml").write_text("run_root: $SCRATCH/runs\n")
    for flags in (("--config", "c.yaml"), ("--init_from", "$SCRATCH/x"), ("--resume", "$SCRATCH")):
        result = gdl("fit", *TABULAR, *flags)
        assert result.code == 2
        assert "the environment variable SCRATCH is not set" in result.err
        assert f"{'in c.yaml' if flags[1] == 'c.yaml' else 'on the command line'})" in result.err
    assert [p.name for p in Path().iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    "name",
    [
        "$UP",
        "${UP}",
        "~",
        "~root",
        "../../x",
        "/abs",
        "group/run",
        "",
        " ",
        ".",
        "..",
        "a\\b",
        "a\0b",
        "a\nb",
        "x" * 300,
    ],
)
def test_a_name_stays_in_the_run_root(name: str, gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UP", "../../up")
    Path("c.yaml").write_text(yaml.safe_dump({"name": name}))
    result = gdl("fit", *TABULAR, "--config", "c.yaml")
    assert result.code == 2
    assert result.err.startswith("error: name must be a folder name")
    assert ", in c.yaml)" in result.err
    assert [p.name for p in Path().iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("path", ["~/t.csv", "$SCRATCH/t.csv"])
def test_the_path_of_data_is_expanded(path: str, gdl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("home").absolute()
    home.mkdir()
    (home / "t.csv").write_text("x,y\n" + "\n".join(f"{k},{k % 2}" for k in range(40)))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SCRATCH", str(home))
    flags = ("--model", "tabular-classification", "--data", "tabular", "--data.target", "y", *QUIET)
    result = gdl("fit", *flags, "--data.path", path, "--trainer.max_steps", "2")
    assert result.code == 0, result.err
    result = gdl("fit", *flags, "--data.path", "$UNSET/t.csv")
    assert result.code == 2
    assert "data.path: the environment variable UNSET is not set (got $UNSET/t.csv" in result.err
    assert "on the command line" in result.err
