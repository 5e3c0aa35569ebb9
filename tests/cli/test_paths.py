"""``gdl paths``: races by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import Run


def test_the_functions_are_listed(gdl: Run) -> None:
    found = gdl("paths", "--format", "json").json()
    names = [f["name"] for f in found]
    assert {"rosenbrock", "beale", "himmelblau", "rastrigin", "ackley", "monkey-saddle"} <= set(
        names
    )
    assert len(gdl("paths").out.strip().splitlines()) == len(names)


def test_a_race_leaves_pictures_a_page_and_numbers(gdl: Run) -> None:
    result = gdl(
        "paths",
        "saddle",
        "--optimizers",
        "adam,gd,muon",
        "--lr",
        "adam=0.05",
        "gd=0.1",
        "--schedule",
        "cosine",
        "--warmup",
        "10%",
        "--steps",
        "120",
        "--output",
        "here",
        "--format",
        "json",
    )
    assert result.code == 0, result.err
    found = result.json()
    assert {r["optimizer"]: r["lr"] for r in found["results"]} == {"adam": 0.05, "gd": 0.1}
    steps = [r["steps"] for r in found["results"]]
    assert steps == sorted(steps, key=lambda s: (s is None, s))
    assert "only trains matrices" in found["left_out"]["muon"]
    assert sorted(Path("here").iterdir()) == sorted(map(Path, found["files"]))
    assert {f.suffix for f in Path("here").iterdir()} == {".png", ".svg", ".gif", ".html", ".json"}
    kept = json.loads(Path("here/saddle.json").read_text())
    assert len(kept["tracks"]["gd"]["points"]) == 121
    assert kept["results"] == found["results"]


def test_a_table_says_who_was_first(gdl: Run) -> None:
    result = gdl("paths", "noisy", "--optimizers", "nag,gd", "--lr", "0.02", "--steps", "30")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("2 optimizers on Noisy quadratic: ")
    assert lines[2].split()[:3] == ["optimizer", "lr", "steps"]
    assert {line.split()[0] for line in lines[3:5]} == {"sgd", "gd"}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("rosenbrok",), "There is no test function named rosenbrok. Did you mean rosenbrock?"),
        (("saddle", "--optimizers", "adm"), "no optimizer named adm"),
        (("saddle", "--optimizers", ","), "--optimizers is empty"),
        (("saddle", "--optimizers", "muon"), "muon cannot be raced: it only trains matrices"),
        (("saddle", "--lr", "fast"), "--lr fast: write a number of 0 or more, tuned or default"),
        (("saddle", "--lr", "-1"), "--lr -1: write"),
        (("saddle", "--lr", "lamb=1"), "--lr names lamb, which is not in --optimizers."),
        (("saddle", "--steps", "1"), "--steps is 1; write 2 or more."),
        (("saddle", "--schedule", "cosin"), "There is no schedule named cosin."),
        (("saddle", "--warmup", "600"), "schedule.warmup must be shorter than the run"),
    ],
)
def test_what_can_not_be_meant_is_told(flags: tuple[str, ...], told: str, gdl: Run) -> None:
    result = gdl("paths", *flags)
    assert result.code == 2
    assert told in result.err
    assert len(result.err.splitlines()) <= 5
    assert not Path("paths").exists()


def test_one_without_a_learning_rate_runs_at_the_default_schedule(gdl: Run) -> None:
    done = gdl(
        "paths",
        "ill-conditioned",
        "--optimizers",
        "alig,a2grad",
        "--steps",
        "20",
        "--format",
        "json",
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {r["optimizer"] for r in found["results"]} == {"alig", "a2grad"}
    assert not found["left_out"]


def test_a_race_is_seen_in_tensorboard(gdl: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = gdl(
        "paths",
        "ill-conditioned",
        "--optimizers",
        "gd,adam",
        "--lr",
        "0.01",
        "--steps",
        "20",
        "--tensorboard",
    )
    assert done.code == 0, done.err
    board = EventAccumulator("paths/tensorboard/gd")
    board.Reload()
    values = [event.value for event in board.Scalars("paths/ill-conditioned")]
    assert len(values) == 21
    assert values[-1] < values[0]
    pictures = EventAccumulator("paths/tensorboard")
    pictures.Reload()
    assert pictures.Tags()["images"] == ["paths/ill-conditioned"]
