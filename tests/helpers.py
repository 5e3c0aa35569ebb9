"""Helpers of tests: results of commands, paths, and readers of run folders."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

CONFIGS = Path(__file__).parent.parent / "configs"
QUIET = ("--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu")


@dataclass
class Result:
    """Result of a command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The output, parsed."""
        return json.loads(self.out)


Run = Callable[..., Result]


def contents(folder: Path) -> dict[str, bytes | str | None]:
    """Return the contents of a folder: bytes of files, targets of links, None for folders."""

    def content(path: Path) -> bytes | str | None:
        if path.is_symlink():
            return os.readlink(path)
        return path.read_bytes() if path.is_file() else None

    return {str(path.relative_to(folder)): content(path) for path in folder.rglob("*")}


def metrics(name: str, version: int = 0) -> dict[str, float]:
    """Return the final metrics of a run in this folder."""
    found: dict[str, float] = json.loads(
        Path(f"runs/{name}/version_{version}/metrics.json").read_text()
    )
    return found


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """Save and load a state as in a checkpoint, without running code."""
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    loaded: dict[str, Any] = torch.load(stream, weights_only=True)
    return loaded
