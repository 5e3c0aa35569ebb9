"""Stopped and resumed trainings: which run goes on, what may differ, and equal bits."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import CONFIGS, QUIET, Run, metrics

FAULTS = Path(__file__).parent.parent.parent / "scripts" / "faults"
SHORT = ("--trainer.max_epochs", "3", "--checkpoint.every_n_steps", "5")


def tabular(gdl: Run, *flags: str) -> tuple[int, str]:
    """A training of configs/tabular.yaml; exit code, and what was printed."""
    result = gdl("fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, *SHORT, *flags)
    return result.code, result.out + result.err


def test_max_time_stops_saves_and_goes_on_to_the_same_end(gdl: Run) -> None:
    assert tabular(gdl, "--name", "whole")[0] == 0
    code, said = tabular(gdl, "--name", "parts", "--max_time", "0.05s")
    assert code == 75
    assert "Stopped by max_time, saved" in said
    assert not Path("runs/parts/version_0/metrics.json").exists()
    code, said = tabular(gdl, "--name", "parts", "--resume", "auto")
    assert code == 0, said
    assert "Resuming runs/parts/version_0 from step" in said
    assert metrics("parts") == metrics("whole")
    assert not Path("runs/parts/version_1").exists()


def stopped(gdl: Run) -> None:
    """A run that was stopped at once."""
    assert tabular(gdl, "--max_time", "0.01s")[0] == 75


def test_a_run_alone_names_its_config(gdl: Run) -> None:
    stopped(gdl)
    result = gdl("fit", "--resume", "runs/tabular/version_0", "--max_time", "1h")
    assert result.code == 0, result.err
    assert metrics("tabular")["test_auroc"] > 0.9


def test_auto_starts_afresh_where_nothing_is_unfinished(gdl: Run) -> None:
    assert tabular(gdl, "--resume", "auto")[0] == 0
    assert tabular(gdl, "--resume", "auto")[0] == 0
    assert Path("runs/tabular/version_1/metrics.json").exists()


def test_auto_passes_over_another_config_and_says_so(gdl: Run) -> None:
    stopped(gdl)
    code, said = tabular(gdl, "--resume", "auto", "--optimizer.lr", "0.002")
    assert code == 0
    assert "version_0, its config differs: optimizer.lr (0.001 → 0.002)" in said
    assert Path("runs/tabular/version_1/metrics.json").exists()


def test_changed_options_are_refused_unless_told(gdl: Run) -> None:
    stopped(gdl)
    where = ("--resume", "runs/tabular/version_0")
    code, said = tabular(gdl, *where, "--optimizer.lr", "0.002")
    assert code == 2
    assert "optimizer.lr (0.001 → 0.002)" in said
    assert "--resume_changed true" in said
    code, said = tabular(gdl, *where, "--optimizer.lr", "0.002", "--resume_changed", "true")
    assert code == 0, said
    assert "with changed options: optimizer.lr (0.001 → 0.002)" in said


def test_what_changes_nothing_learnt_may_differ(gdl: Run) -> None:
    stopped(gdl)
    code, said = tabular(
        gdl,
        "--resume",
        "auto",
        "--trainer.log_every_n_steps",
        "7",
        "--checkpoint.keep",
        "2",
        "--watch.histograms",
        "true",
    )
    assert code == 0, said
    assert not Path("runs/tabular/version_1").exists()


def test_other_data_is_refused(gdl: Run) -> None:
    rows = [f"{k},{k % 7},{'ab'[k % 2]}" for k in range(60)]
    table = ("--data", "tabular", "--data.path", "t.csv", "--data.target", "y")
    Path("t.csv").write_text("x,z,y\n" + "\n".join(rows) + "\n")
    assert tabular(gdl, *table, "--max_time", "0.01s")[0] == 75
    Path("t.csv").write_text("x,z,y\n" + "\n".join(rows[:-1]) + "\n")
    code, said = tabular(gdl, *table, "--resume", "auto")
    assert code == 2
    assert "the data is not the same" in said


def test_a_finished_or_missing_run_is_told(gdl: Run) -> None:
    assert tabular(gdl)[0] == 0
    code, said = tabular(gdl, "--resume", "runs/tabular/version_0")
    assert (code, "is finished" in said) == (2, True)
    code, said = tabular(gdl, "--resume", "runs/nowhere")
    assert (code, "no run folder" in said) == (2, True)


def test_a_damaged_checkpoint_is_named_and_passed_over(gdl: Run) -> None:
    assert tabular(gdl, "--name", "whole")[0] == 0
    assert tabular(gdl, "--max_time", "0.3s")[0] in (0, 75)
    folder = Path("runs/tabular/version_0")
    (folder / "metrics.json").unlink(missing_ok=True)
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-100])
    code, said = tabular(gdl, "--resume", "auto")
    assert code == 0, said
    assert f"Passing over {last}" in said
    assert metrics("tabular") == metrics("whole")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_signals_save_and_exit_with_a_code(name: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gdlightning",
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--trainer.max_epochs",
        "100000",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    folder = tmp_path / "runs/tabular/version_0"
    while not (folder / "metrics.csv").exists():
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == (130 if name == "SIGINT" else 75), err
    assert f"{name}: finishing the step and saving" in err
    assert "Traceback" not in err
    assert f"Stopped by {name}, saved." in out
    assert (folder / "checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize(
    ("flags", "when", "epochs"),
    [
        ((), "trainer.current_epoch == 1", 3),
        ((), "trainer.current_epoch == 2", 3),
        (
            ("--trainer.max_steps", "20", "--trainer.val_check_interval", "5"),
            "trainer.global_step == 20",
            2,
        ),
    ],
    ids=["an epoch", "the last epoch", "the last step"],
)
def test_a_stop_within_validation_loses_no_line_of_the_logs(
    flags: tuple[str, ...], when: str, epochs: int, tmp_path: Path
) -> None:
    """No batch of that epoch is left after the resume, and its means and metrics are logged."""
    (tmp_path / "stopping.py").write_text(
        "import os, signal\nimport lightning.pytorch as L\n"
        "class Stopping(L.Callback):\n"
        "    def on_train_batch_end(self, trainer, module, outputs, *_):\n"
        "        module.log('mean_loss', outputs['loss'], on_step=False, on_epoch=True)\n"
        "    def on_validation_start(self, trainer, module):\n"
        f"        if {when} and os.path.exists('stop'):\n"
        "            os.unlink('stop')\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    logs = []
    for name, stops in (("whole", 0), ("parts", 2)):
        command = [
            sys.executable,
            "-m",
            "gdlightning",
            "fit",
            "--config",
            str(CONFIGS / "tabular.yaml"),
            *QUIET,
            *SHORT,
            *flags,
            "--name",
            name,
            "--callbacks",
            "stopping.Stopping",
            "--resume",
            "auto",
        ]
        for number in range(stops + 1):
            if number < stops:
                (tmp_path / "stop").touch()
            done = subprocess.run(
                command, cwd=tmp_path, check=False, capture_output=True, text=True
            )
            assert done.returncode == (75 if number < stops else 0), done.stderr
        with (tmp_path / "runs" / name / "version_0" / "metrics.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        logs.append([{k: v for k, v in r.items() if "per_second" not in k} for r in rows])
    assert logs[0] == logs[1]
    assert sum(bool(row["train_auroc"]) for row in logs[0]) == epochs
    assert sum(bool(row["mean_loss"]) for row in logs[0]) == epochs


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 75)])
def test_a_second_signal_stops_at_once(name: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nimport lightning.pytorch as L\n"
        "class Slow(L.Callback):\n"
        "    def on_train_batch_end(self, trainer, *_):\n"
        "        print('a step', flush=True)\n"
        "        time.sleep(60)\n"
    )
    command = [
        sys.executable,
        "-m",
        "gdlightning",
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--callbacks",
        "slow.Slow",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    while process.stdout.readline() != "a step\n":
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    while "send it again to stop at once" not in process.stderr.readline():
        pass
    if name == "SIGTERM":
        process.send_signal(signal.SIGTERM)  # as launchers do; it counts as the first one
        time.sleep(1.2)
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert f"{name}: stopped at once." in err


def test_twenty_kills_end_bitwise_equal() -> None:
    command = [sys.executable, str(FAULTS / "kills.py"), "--kills", "20", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    cells = done.stdout.strip().splitlines()[-1].split("|")
    assert int(cells[2]) >= 20
    assert cells[4].strip() == cells[5].strip()


def test_damage_and_full_disks_lose_nothing() -> None:
    command = [sys.executable, str(FAULTS / "damage.py"), "--share", "0.05"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert json.dumps(done.stdout).count("|") > 10
