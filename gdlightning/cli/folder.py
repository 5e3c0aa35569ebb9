"""The folder of a run: made once, held by one process at a time."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gdlightning.errors import UserError

FINISHED = "metrics.json"
"""What is written last: a run that has it is finished."""
LOCK = ".lock"


def new_folder(run_root: str, name: str) -> Path:
    """Make ``RUN_ROOT/NAME/version_N`` with the next free N; two runs never share one.

    Raises:
        UserError: the folder can't be made.
    """
    parent = Path(run_root) / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            taken = [number(p) for p in parent.iterdir()]
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


def versions(run_root: str, name: str) -> list[Path]:
    """The folders of a run's versions, newest first."""
    parent = Path(run_root) / name
    found = parent.glob("version_*") if parent.is_dir() else ()
    return sorted((p for p in found if number(p) >= 0), key=number, reverse=True)


def number(folder: Path) -> int:
    """N of ``version_N``; -1 of anything else."""
    match = re.fullmatch(r"version_(\d+)", folder.name)
    return int(match[1]) if match else -1


def remove_run(folder: Path) -> None:
    """Leave nothing behind of a run that never made a step."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in (folder.parent, folder.parent.parent):
        try:
            parent.rmdir()
        except OSError:
            break


@contextlib.contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a run's folder; False where another living process holds it.

    The system lets go of it when the process ends, however it ends.
    """
    try:
        import fcntl
    except ImportError:  # not on this system: nobody else can hold it either
        yield True
        return
    try:
        with (folder / LOCK).open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
    except PermissionError as error:
        raise UserError(f"The run folder {folder} can't be written to.") from error


def to_yaml(values: dict[str, Any]) -> str:
    """A config as YAML that reads back to the same values."""
    return yaml.safe_dump(plain(values), sort_keys=False, allow_unicode=True)


def plain(value: Any) -> Any:
    """Nested values with lists for tuples, as YAML and checkpoints hold them."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value
