"""gdl compare on a real task: killed, shared, refused, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import CONFIGS, Run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SMALL = (
    "--config",
    str(CONFIGS / "tabular.yaml"),
    "--optimizers",
    "adamw,sgd",
    "--trials",
    "2",
    "--seeds",
    "2",
    "--steps",
    "30",
    "--trainer.accelerator",
    "cpu",
)


def results(folder: Path) -> list[Any]:
    """All trials but for their times."""
    record = json.loads((folder / "report.json").read_text())
    assert record["done"]
    timed = ("seconds", "curve")
    return [{k: v for k, v in t.items() if k not in timed} for t in record["trials"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    process = start(str(folder))
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    return folder


def start(folder: str, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gdlightning", "compare", *SMALL, "--output", folder, *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_killed_it_goes_on_to_the_same_result(whole: Path, gdl: Run) -> None:
    journal = Path("killed/journal.log")
    for size in (3000, 12000):  # bytes of the journal at which it is killed
        process = start("killed")
        while process.poll() is None and not (journal.exists() and journal.stat().st_size > size):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    done = gdl("compare", *SMALL, "--output", "killed")
    assert done.code == 0, done.err
    assert results(Path("killed")) == results(whole)


def test_a_second_call_trains_nothing_and_says_the_same(whole: Path, gdl: Run) -> None:
    before = (whole / "report.json").read_bytes()
    size = (whole / "journal.log").stat().st_size
    done = gdl("compare", *SMALL, "--output", str(whole), "--format", "json")
    assert json.loads(done.out) == json.loads(before) | {"command": json.loads(done.out)["command"]}
    assert (whole / "journal.log").stat().st_size < size + 1000  # signs of life alone


def test_what_a_damaged_line_told_is_found_out_again(whole: Path, gdl: Run) -> None:
    shutil.copytree(whole, "damaged")
    journal = Path("damaged/journal.log")
    lines = journal.read_bytes().splitlines()
    lines[20] = lines[20][:-50]
    journal.write_bytes(b"\n".join(lines) + b"\n")
    done = gdl("compare", *SMALL, "--output", "damaged")
    assert done.code == 0, done.err
    assert "journal.log, line 21 is damaged" in done.err
    assert results(Path("damaged")) == results(whole)


def test_two_workers_come_to_the_same_result(whole: Path, gdl: Run) -> None:
    first, second = (start("shared", *more) for more in ((), ("--follow",)))
    for process in (first, second):
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err.decode()
    assert results(Path("shared")) == results(whole)


def test_hparams_are_in_tensorboard(whole: Path) -> None:
    folders = list((whole / "tensorboard").iterdir())
    assert len(folders) == len(results(whole))
    events = EventAccumulator(str(folders[0]))
    events.Reload()
    assert events.PluginTagToContent("hparams")
    assert "val_loss" in events.Tags()["scalars"]


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ('"../x": {lr: [0.1, 1.0]}', "is not a valid label"),
        ('"a\\0": {lr: [0.1, 1.0]}', "is not a valid label"),
        ("sgd: [1]", "must be a mapping of options to ranges"),
        ("sgd: {optimizer: 5}", "optimizer"),
        ("sgd: {optimizer: {momentum: 1}}", "name"),
    ],
)
def test_spaces_that_can_not_be_meant_are_refused(gdl: Run, space: str, said: str) -> None:
    Path("space.yaml").write_text(space)
    done = gdl("compare", *SMALL[:2], *SMALL[4:], "--space", "space.yaml", "--optimizers", "")
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) <= 5


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--optimizers", "adamw,sdg"), "Did you mean sgd?"),
        (("--optimizers", "adamw,adamw"), "twice"),
        (("--trials", "0"), "--trials is 0"),
        (("--metric", "val_acuracy"), "Did you mean val_accuracy"),
        (("--tune", "lr,momentun"), "Did you mean momentum?"),
        (("--data.val_fraction", "0"), "val_fraction"),
        (("--space", "nowhere.yaml"), "nowhere.yaml"),
        (("--budget", "0.1s"), "too short"),
        (("--data.batchsize", "3"), "batch_size"),
    ],
)
def test_what_can_not_be_meant_is_refused(gdl: Run, flags: tuple[str, ...], said: str) -> None:
    done = gdl("compare", *SMALL, *flags)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) <= 5


def test_another_command_in_the_same_folder_is_refused(whole: Path, gdl: Run) -> None:
    done = gdl("compare", *SMALL, "--output", str(whole), "--seeds", "5")
    assert done.code == 2
    assert "a different comparison (plan changed)" in done.err


def test_ones_own_space_and_a_budget(gdl: Run) -> None:
    Path("space.yaml").write_text(
        "plain: {optimizer: {name: sgd, momentum: 0.0, nesterov: false}, lr: [0.01, 1.0]}\n"
        "sgd: {lr: [0.01, 1.0], momentum: {values: [0.8, 0.9]}}\n"
    )
    flags = ("--optimizers", "plain,sgd", "--space", "space.yaml", "--seeds", "2")
    asked = ("compare", *SMALL[:2], *SMALL[8:], *flags, "--format", "json", "--budget")
    done = gdl(*asked, "1s")
    assert done.code == 2
    for _ in range(5):  # what is enough is measured anew each time, on a machine that may be busy
        if done.code == 0:
            break
        assert not list(Path("studies").iterdir())  # nothing is left in the way of the next try
        needed = re.search(r"4 trials of 30 steps and 2 seeds take about (\d+)", done.err)
        assert needed, done.err
        done = gdl(*asked, f"{3 * int(needed[1])}s")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["plan"]["trials"] >= 4
    chosen = {r["label"]: r["settings"] for r in record["rankings"][0]["rows"]}
    assert set(chosen["plain"]) == {"lr"}
    assert chosen["sgd"]["momentum"] in (0.8, 0.9)


def test_several_tasks_make_a_performance_profile(gdl: Run) -> None:
    both = ",".join(str(CONFIGS / f"{name}.yaml") for name in ("tabular", "tabular_regression"))
    done = gdl("compare", "--configs", both, *SMALL[2:], "--output", "both")
    assert done.code == 0, done.err
    assert "area under its performance profile" in done.out
    record = json.loads(Path("both/report.json").read_text())
    assert [r["workload"] for r in record["rankings"]] == ["tabular", "tabular_regression"]
    assert set(record["profiles"]) == set(record["scores"]) == {"adamw", "sgd"}
    assert max(record["scores"].values()) > 0
    assert Path("both/profiles.png").stat().st_size > 5000
