"""The command line, run in this process and in a folder of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from gdlightning.__main__ import main

settings.register_profile("shared", deadline=None, derandomize=True)  # machines may be busy
settings.load_profile("shared")

CONFIGS = Path(__file__).parent.parent / "configs"
QUIET = ("--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu")


@dataclass
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The output, parsed."""
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def gdl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``gdl(*arguments)`` in an empty folder."""
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
    """``fit(config, *flags)``: a training without progress bar that must succeed."""

    def run(config: str, *flags: str) -> Result:
        result = gdl("fit", "--config", str(CONFIGS / f"{config}.yaml"), *QUIET, *flags)
        assert result.code == 0, result.err
        return result

    return run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 39 steps, saved every five: last (39), previous-1 (35), previous-2 (30)."""
    root = tmp_path_factory.mktemp("finished")
    code = main(["fit", "--config", str(CONFIGS / "tabular.yaml"), *QUIET, "--run_root", str(root),
                 "--trainer.max_epochs", "3", "--checkpoint.every_n_steps", "5"])  # fmt: skip
    assert code == 0
    return root / "tabular" / "version_0"


@pytest.fixture
def unfinished_run(finished_run: Path, gdl: Run) -> Path:
    """``runs/tabular/version_0``: the same as if it had been killed after its last save."""
    folder = Path("runs/tabular/version_0")
    shutil.copytree(finished_run, folder)
    (folder / "metrics.json").unlink()
    return folder


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """All that a folder holds: files, where links lead, None for folders."""

    def content(path: Path) -> bytes | str | None:
        if path.is_symlink():
            return os.readlink(path)
        return path.read_bytes() if path.is_file() else None

    return {str(path.relative_to(folder)): content(path) for path in folder.rglob("*")}


def metrics(name: str, version: int = 0) -> dict[str, float]:
    """The final metrics of a run in this folder."""
    found: dict[str, float] = json.loads(
        Path(f"runs/{name}/version_{version}/metrics.json").read_text()
    )
    return found


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """A state as a checkpoint gives it back, read without running code."""
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    loaded: dict[str, Any] = torch.load(stream, weights_only=True)
    return loaded
