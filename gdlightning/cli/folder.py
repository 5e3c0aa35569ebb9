"""The folder of a run, and the files in it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from gdlightning.errors import UserError


def new_folder(run_root: str, name: str) -> Path:
    """Make ``RUN_ROOT/NAME/version_N`` with the next free N; two runs never share one.

    Raises:
        UserError: the folder can't be made.
    """
    parent = Path(run_root) / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            taken = [
                int(m[1]) for p in parent.iterdir() if (m := re.match(r"version_(\d+)$", p.name))
            ]
            folder = parent / f"version_{max(taken, default=-1) + 1}"
            try:
                folder.mkdir()
            except FileExistsError:  # another run was faster
                continue
            return folder
    except OSError as error:
        raise UserError(
            f"The run folder {parent} can't be made: {error.strerror}.\n"
            "Choose another with --run_root."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a temporary name, then a rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def to_yaml(values: dict[str, Any]) -> str:
    """A config as YAML that reads back to the same values."""
    return yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
