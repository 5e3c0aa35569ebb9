"""Fixtures that run the command line in this process, in an empty folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from helpers import CONFIGS, QUIET, Result, Run
from hypothesis import settings

from gdlightning.__main__ import main

settings.register_profile("shared", deadline=None, derandomize=True)  # machines may be busy
settings.load_profile("shared")


@pytest.fixture
def gdl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return ``gdl(*arguments)``, which runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)

    def run(*arguments: str) -> Result:
        try:
            code = main(list(arguments))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def fit(gdl: Run) -> Run:
    """Return ``fit(config, *flags)``, a run without progress bar that must succeed."""

    def run(config: str, *flags: str) -> Result:
        result = gdl("fit", "--config", str(CONFIGS / f"{config}.yaml"), *QUIET, *flags)
        assert result.code == 0, result.err
        return result

    return run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run of 39 steps, with checkpoints of steps 39, 35 and 30."""
    root = tmp_path_factory.mktemp("finished")
    code = main(
        [
            "fit",
            "--config",
            str(CONFIGS / "tabular.yaml"),
            *QUIET,
            "--run_root",
            str(root),
            "--trainer.max_epochs",
            "3",
            "--checkpoint.every_n_steps",
            "5",
        ]
    )
    assert code == 0
    return root / "tabular" / "version_0"


@pytest.fixture
def unfinished_run(finished_run: Path, gdl: Run) -> Path:
    """Return the run as if it had been killed after its last save."""
    folder = Path("runs/tabular/version_0")
    shutil.copytree(finished_run, folder)
    (folder / "metrics.json").unlink()
    return folder
