"""The folder of a run: where it is, how it is made, replaced and taken away again."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from gdlightning.errors import UserError, did_you_mean
from gdlightning.runs.run_lock import held
from gdlightning.storage.atomic_write import free_name, write_text

CONFIG = "config.yaml"
"""The resolved config: a folder without it is not a run folder."""
FINISHED = "metrics.json"
"""What is written last: a run that has it is finished."""


DRAFT_SECONDS = 60.0
"""Seconds after which a draft of a run folder that no process holds is left over."""


def run_of(path: Path) -> Path:
    """Return the run folder of a path to it, or to a file in it or in its ``checkpoints``.

    Its own name and its parent's are part of the result, whatever the path begins with (``.``).
    """
    folder = path
    if path.is_file() or (path.suffix == ".ckpt" and not path.is_dir()):
        folder = path.parent if path.parent.name else path.parent.resolve()
        folder = folder.parent if folder.name == "checkpoints" else folder
    named = folder.name and folder.parent.name and ".." not in folder.parts
    return folder if named else folder.resolve()


def named_run(where: Path) -> Path:
    """Return the folder of the run that ``resume`` names, by itself or by one of its checkpoints.

    Raises:
        UserError: there is none.
    """
    folder = run_of(where)
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"resume: {where} is no run folder (it has no {CONFIG}).\n"
            "Write auto, or a folder such as runs/tabular/version_0.",
            key="resume",
        )
    if where.suffix == ".ckpt" and not where.exists():
        near = [p.name for p in where.parent.glob("*.ckpt")]
        raise UserError(
            f"resume: there is no checkpoint {where}.{did_you_mean(where.name, near)}", key="resume"
        )
    return folder


def versions(parent: Path) -> list[Path]:
    """List the ``version_N`` in a folder, newest first.

    Raises:
        UserError: the folder cannot be listed.
    """
    try:
        found = [p for p in parent.iterdir() if number(p) >= 0]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{parent} cannot be read: {error.strerror}.") from error
    return sorted(found, key=number, reverse=True)


def number(folder: Path) -> int:
    """Return N of ``version_N``; -1 of anything else."""
    match = re.fullmatch(r"version_(\d+)", folder.name)
    return int(match[1]) if match else -1


def make_run(folder: Path, config: str, stack: contextlib.ExitStack) -> tuple[Path, ...]:
    """Make a run folder that is held and has its config from the moment that others see it.

    Args:
        folder: which.
        config: the text of its config.
        stack: holds the folder until it is closed.

    Returns:
        The folder, and the parents of it that were made too; empty where another process was
        faster to take that name.

    Raises:
        UserError: the folder cannot be made.
    """
    _remove_drafts(folder.parent)
    draft = folder.with_name(f".{secrets.token_hex(8)}.tmp")
    made: tuple[Path, ...] = ()
    try:
        made = (draft, *itertools.takewhile(lambda p: not p.exists(), draft.parents))
        draft.mkdir(parents=True)
        stack.enter_context(held(draft))
        write_text(draft / CONFIG, config)
        draft.rename(folder)
    except OSError as error:
        remove_run(made)
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR) and folder.exists():
            return ()
        raise UserError(
            f"The run folder {folder.parent} can't be made: {error.strerror}.\n"
            "Choose another with --run_root."
        ) from error
    except BaseException:
        remove_run(made)
        raise
    return (folder, *made[1:])


def _remove_drafts(parent: Path) -> None:
    """Remove the drafts of run folders whose processes were killed while they made them.

    A draft is locked a moment after it is made, so young ones are left alone.
    """
    for draft in parent.glob(".*.tmp"):
        if not re.fullmatch(r"\.[0-9a-f]{16}\.tmp", draft.name):
            continue
        with contextlib.suppress(OSError, UserError):  # its process has just finished with it
            if draft.lstat().st_mtime < time.time() - DRAFT_SECONDS:
                with held(draft) as ours:
                    if ours:
                        shutil.rmtree(draft, ignore_errors=True)


def remove_run(made: tuple[Path, ...]) -> None:
    """Leave nothing behind of a run that never made a step: the folders that it made itself.

    Args:
        made: its folder, then its parents, innermost first; nothing of a run that was resumed.
    """
    for folder in made[:1]:
        shutil.rmtree(folder, ignore_errors=True)
    for parent in made[1:]:
        with contextlib.suppress(OSError):  # others use it by now
            parent.rmdir()


def replace(former: Path, new: Path) -> Path:
    """Put a new run in the place of a former one, which is kept beside it.

    At any time one of the two is a ``version_N`` of theirs, so that no other process takes it.

    Returns:
        Where the former one is now.
    """
    aside = free_name(former.with_name(f"{former.name}.replaced"))
    former.rename(aside)
    new.rename(former)
    return aside


def settle(folder: Path, aside: Path) -> None:
    """Remove the run that was replaced if the new one has saved anything, else keep it.

    Args:
        folder: of the new run; if it is gone, the former one takes its place again.
        aside: where ``replace`` has put the former one.
    """
    if not os.path.lexists(aside):  # done before
        return
    if not folder.exists():
        aside.rename(folder)
    elif not ((folder / FINISHED).exists() or any(folder.glob("checkpoints/*.ckpt"))):
        print(
            f"{folder} saved nothing; the run that it replaces is kept in {aside}.", file=sys.stderr
        )
    else:
        _remove(aside)


def settle_finished(folder: Path) -> None:
    """Remove the runs that a run replaced, if it is finished.

    They are still there if the process that replaced them was killed.
    """
    pattern = re.escape(f"{folder.name}.replaced") + r"\d*"
    for aside in folder.parent.iterdir() if (folder / FINISHED).exists() else ():
        if re.fullmatch(pattern, aside.name):
            _remove(aside)


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def to_yaml(values: dict[str, Any]) -> str:
    """Return a config as YAML that reads back to the same values."""
    return yaml.safe_dump(plain(values), sort_keys=False, allow_unicode=True)


def plain(value: Any) -> Any:
    """Nested values with lists for tuples, as YAML and checkpoints hold them."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def find_run(where: str) -> Path:
    """Return the folder of a run, given a path to it, to a file in it, or to the versions' parent.

    Raises:
        UserError: the run does not exist.
    """
    from gdlightning.config.expand_paths import expand

    path = run_of(Path(expand(where, "The run")))
    if not path.is_dir():
        near = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"There is no run {path}.{did_you_mean(str(path), near)}")
    return next(iter(versions(path)), path)
