"""Which checkpoint of a run is used: the best one, the last one, or a file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdlightning.config.expand_paths import expand
from gdlightning.errors import UserError, did_you_mean
from gdlightning.runs.find_checkpoint import find_checkpoint, newest_whole, read_checkpoint
from gdlightning.runs.run_folder import versions
from gdlightning.storage.checkpoint_file import KEY, DamagedCheckpointError

BEST_FILES = "best-*.ckpt"
STATE = "Checkpoints"
"""Key under which a checkpoint stores the state of the callback that keeps the best one."""


@dataclass(frozen=True)
class Chosen:
    """A checkpoint, and how it was chosen.

    Attributes:
        path: the checkpoint file.
        content: the content of the file.
        words: one sentence that names the checkpoint, for people.
    """

    path: Path
    content: dict[str, Any]
    words: str


def choose_checkpoint(where: str, which: str | None = None) -> Chosen:
    """Choose a checkpoint of a run.

    Args:
        where: a run folder, the folder of its versions, or a checkpoint file.
        which: ``best``, ``last``, a file, or the name of a file in the run's checkpoints; by
            default the best checkpoint if the run kept one, otherwise the last.

    Raises:
        UserError: if there is no such checkpoint, or it cannot be read.
    """
    given = Path(expand(where, "The path"))
    if given.is_file():
        if which is not None:
            raise UserError(
                f"--checkpoint is {which}, but {where} is a checkpoint already.\n"
                "Give a run folder, or leave --checkpoint out."
            )
        return _chosen(given, "Using")
    if which in (None, "best"):
        best = _best(given, strict=which == "best")
        if best is not None:
            return best
        if which == "best":
            raise UserError(
                f"{where} has no best checkpoint: no monitored metric was logged during its "
                "validation.\nUse --checkpoint last, or set checkpoint.monitor when training."
            )
    if which not in (None, "best", "last"):
        return _chosen(_named(given, str(which)), "Using")
    path = find_checkpoint(where)
    note = "" if which == "last" else ": no best one was kept"
    return _chosen(path, "Using the last checkpoint", note)


def report(chosen: Chosen) -> None:
    """Print which checkpoint is used, to standard error."""
    print(chosen.words, file=sys.stderr)


def _best(where: Path, strict: bool) -> Chosen | None:
    """Return the best checkpoint of a run; None if it has none that can be read."""
    for folder in (where, *versions(where)):
        found = list((folder / "checkpoints").glob(BEST_FILES))
        if not found:
            if any((folder / "checkpoints").glob("*.ckpt")):
                return None
            continue
        path = found[0] if len(found) == 1 else _latest_best(folder / "checkpoints", found)
        try:
            return _chosen(path, "Using the best checkpoint")
        except DamagedCheckpointError as error:
            if strict:
                raise UserError(f"{error}\nUse --checkpoint last.") from error
            print(f"Skipping {path}: {error}", file=sys.stderr)
            return None
    return None


def _latest_best(folder: Path, found: list[Path]) -> Path:
    """Return the file that the newest checkpoint names as the best one."""
    last = newest_whole(folder, to_resume=False)
    state = read_checkpoint(last).get("callbacks", {}).get(STATE, {}) if last else {}
    name = Path(str(state.get("best_path", ""))).name
    named = [path for path in found if path.name == name]
    return named[0] if named else max(found, key=lambda path: path.stat().st_mtime)


def _named(where: Path, which: str) -> Path:
    """Return the file that ``--checkpoint`` names.

    Raises:
        UserError: if there is no such file.
    """
    path = Path(expand(which, "--checkpoint"))
    folders = [folder / "checkpoints" for folder in (where, *versions(where))]
    tried = [path, *(folder / f"{which}{end}" for folder in folders for end in ("", ".ckpt"))]
    found = next((p for p in tried if p.is_file()), None)
    if found is None:
        near = [p.name for folder in folders for p in folder.glob("*.ckpt")]
        raise UserError(
            f"--checkpoint: there is no file {which}.{did_you_mean(which, near)}\n"
            f"Use best, last, or one of {', '.join(sorted(near)) or 'the files of a run'}."
        )
    return found


def _chosen(path: Path, begin: str, note: str = "") -> Chosen:
    content = read_checkpoint(path)
    record = content.get(KEY)
    config = record.get("config") if isinstance(record, dict) else None
    metric = config.get("checkpoint", {}).get("monitor") if isinstance(config, dict) else None
    logged = content.get("exact", {}).get("logged", {}) if metric else {}
    facts = [f"step {content.get('global_step', 0):,}"]
    if isinstance(logged.get(metric), float):
        facts.append(f"{metric} {logged[metric]:.4g}")
    return Chosen(path, content, f"{begin} ({', '.join(facts)}){note}: {path}")
