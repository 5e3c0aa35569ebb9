"""One process at a time holds a run, also where file systems have few locks or none."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import CONFIGS, QUIET

from gdlightning.errors import UserError
from gdlightning.runs.run_lock import held

HOLDING = """
import os, pathlib, sys, time
from gdlightning.runs.run_lock import held
with held(pathlib.Path(sys.argv[1])) as mine:
    worker = os.fork()
    if worker:
        print(mine, worker, flush=True)
    time.sleep(60)
"""
WITHOUT_LOCKS = """
import errno, fcntl, sys
def fails(*arguments):
    raise OSError(errno.ENOLCK, "no locks here")
fcntl.flock = fcntl.lockf = fails
from gdlightning.__main__ import main
print(main([*sys.argv[1:], "--resume", "auto"]))
print(main([*sys.argv[1:], "--resume", "runs/copy/version_0"]))
"""


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    """A forked worker, as loaders have them, lives on and does not hold it."""
    holding = [sys.executable, "-c", HOLDING, str(tmp_path)]
    process = subprocess.Popen(holding, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    mine, worker = process.stdout.readline().split()
    try:
        assert mine == "True"
        with held(tmp_path) as ours:
            assert not ours
        process.kill()
        process.wait()
        os.kill(int(worker), 0)  # it is there still
        with held(tmp_path) as ours:
            assert ours
    finally:
        process.kill()
        os.kill(int(worker), signal.SIGKILL)
        process.stdout.close()
        process.wait()


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"])
def test_the_second_kind_of_lock_serves_where_the_first_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*arguments: Any) -> None:
        raise OSError(getattr(errno, name), "no such locks")

    monkeypatch.setattr(fcntl, "lockf", missing)
    with held(tmp_path) as ours, held(tmp_path) as twice:
        assert (ours, twice) == (True, False)  # flock belongs to the open file
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(fcntl, "flock", missing)
    with held(tmp_path) as ours:
        assert ours
    assert capsys.readouterr().err.count("cannot be locked (no such locks)") == 1


def test_without_any_locks_a_run_is_resumed_with_a_warning(
    unfinished_run: Path, tmp_path: Path
) -> None:
    shutil.copytree(unfinished_run, "runs/copy/version_0")
    flags = (
        "fit",
        "--config",
        str(CONFIGS / "tabular.yaml"),
        *QUIET,
        "--trainer.max_epochs",
        "3",
        "--checkpoint.every_n_steps",
        "5",
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOCKS, *flags],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in ("tabular", "copy"):
        assert f"Resuming runs/{name}/version_0 from step 39." in done.stdout
        assert f"Warning: runs/{name}/version_0 cannot be locked (no locks here)" in done.stderr
        assert Path(f"runs/{name}/version_0/metrics.json").is_file()
    assert done.stdout.splitlines().count("0") == 2
    assert not Path("runs/tabular/version_1").exists()


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = "file cannot be written to: Not a directory"
    with pytest.raises(UserError, match=told), held(tmp_path / "file"):
        pass


def test_an_error_of_a_run_is_not_taken_for_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), held(tmp_path):
        raise PermissionError
