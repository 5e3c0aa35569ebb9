"""Snapshots of a run root, and checks that a command has not destroyed anything in it."""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from trainings import TIMED

DOCUMENTED = (0, 2, 3, 74, 75, 130)
Row = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Good:
    """A readable checkpoint.

    Attributes:
        path: path of the file.
        digest: digest of its bytes.
        step: number of completed optimizer steps.
    """

    path: Path
    digest: str
    step: int

    @property
    def folder(self) -> Path:
        """The folder of its run."""
        return self.path.parent.parent


@dataclass
class Snapshot:
    """Snapshot of a run root.

    Attributes:
        files: digests by path, without locks.
        good: readable checkpoints.
        rows: rows of the log by run folder and step.
    """

    files: dict[Path, str] = field(default_factory=dict)
    good: list[Good] = field(default_factory=list)
    rows: dict[Path, dict[int, Counter[Row]]] = field(default_factory=dict)

    @property
    def folders(self) -> set[Path]:
        """The run folders."""
        marks = ("config.yaml", "metrics.csv", "hparams.yaml", "metrics.json")
        return {p.parent for p in self.files if p.name in marks} | {
            p.parent.parent for p in self.files if p.suffix == ".ckpt"
        }

    def newest(self, folder: Path) -> int:
        """Return the largest step of the readable checkpoints of a run, or -1."""
        return max((g.step for g in self.good if g.folder == folder), default=-1)


def moved(before: Snapshot, after: Snapshot) -> Snapshot:
    """What was there before, as it would be if the folder that is gone had its new name then."""
    gone, new = before.folders - after.folders, after.folders - before.folders
    aside = next((f for f in new if f.name.startswith("aside")), None)
    if len(gone) != 1 or aside is None:
        return before
    former = gone.pop()

    def put(path: Path) -> Path:
        return aside / path.relative_to(former) if former in [path, *path.parents] else path

    return Snapshot(
        {put(p): digest for p, digest in before.files.items()},
        [Good(put(g.path), g.digest, g.step) for g in before.good],
        {put(folder): rows for folder, rows in before.rows.items()},
    )


_steps: dict[str, int] = {}
"""Digest of a checkpoint → its step, -1 of one that can't be read."""


def take(runs: Path) -> Snapshot:
    """Take a snapshot of a folder."""
    found = Snapshot()
    for top, _, names in os.walk(runs):
        for path in (Path(top, name) for name in names):
            if "lock" in path.name or path.is_symlink():
                continue
            try:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
            except FileNotFoundError:  # temporary file of a running job
                continue
            found.files[path] = digest
            if path.suffix == ".ckpt" and _step(path, digest) >= 0:
                found.good.append(Good(path, digest, _step(path, digest)))
            if path.name.startswith("metrics.csv"):  # or put aside, if it was damaged
                all_rows = found.rows.setdefault(path.parent, {})
                for step, some in rows(path).items():
                    all_rows[step] = all_rows.get(step, Counter()) | some
    return found


def _step(path: Path, digest: str) -> int:
    from gdlightning.errors import UserError
    from gdlightning.storage.checkpoint_file import read

    if digest not in _steps:
        try:
            _steps[digest] = int(read(path)["global_step"])
        except (UserError, KeyError, OSError, ImportError):
            _steps[digest] = -1
    return _steps[digest]


def rows(table: Path) -> dict[int, Counter[Row]]:
    """The whole rows of a log by their step, without timings; a torn one at the end is left out."""
    text = table.read_text(errors="replace")
    found: dict[int, Counter[Row]] = {}
    lines = text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]
    for row in csv.DictReader(lines):
        step = row.get("step") or ""
        if None in row or None in row.values() or not step.isdigit():
            continue
        kept = tuple(sorted((k, v) for k, v in row.items() if v and k not in TIMED))
        found.setdefault(int(step), Counter())[kept] += 1
    return found


@dataclass(frozen=True)
class Done:
    """Result of a command.

    Args:
        code: exit code.
        output: printed output.
        began: number of completed steps before its first step; -1 if it made none.
        killed: whether the command should be killed.
        faulty: whether writes failed or files were moved during the command.
        older: whether the command resumes from a given checkpoint.
        overwrites: whether the command replaces the newest run.
        beside: whether another job is running, which writes events at any time.
    """

    code: int
    output: str
    began: int
    killed: bool = False
    faulty: bool = False
    older: bool = False
    overwrites: bool = False
    beside: bool = False


def broken(before: Snapshot, after: Snapshot, done: Done) -> str:
    """Return the first violated invariant, or an empty string."""
    return (
        _ended(done)
        or _untouched(before, after, done)
        or _kept(before, after, done)
        or _logs(before, after, done)
    )


def _ended(done: Done) -> str:
    if "Traceback (most recent call last)" in done.output:
        lines = [line for line in done.output.splitlines() if line.strip()]
        return f"traceback, exit code {done.code}: {' / '.join(lines[-2:])}"
    allowed = (*DOCUMENTED, -9, 137) if done.killed else DOCUMENTED
    return "" if done.code in allowed else f"exit code {done.code}: {done.output[-300:]}"


def changed(before: Snapshot, after: Snapshot) -> list[Path]:
    """Return the files that were removed or changed."""
    return [p for p, digest in before.files.items() if after.files.get(p) != digest]


def _untouched(before: Snapshot, after: Snapshot, done: Done) -> str:
    """Check that a command without a step changes nothing, and an error leaves nothing."""
    if done.began >= 0 or done.code == 0:
        return ""
    lost = [p for p in changed(before, after) if not (done.beside and "tfevents" in p.name)]
    if done.faulty:  # its folder was being brought to the checkpoint
        lost = [p for p in lost if p.name == "config.yaml" or p.suffix == ".ckpt"]
    if lost:
        verb = "changed" if lost[0] in after.files else "removed"
        return f"it made no step (exit code {done.code}) and {verb} {_short(lost[0])}"
    new = sorted(set(after.files) - set(before.files))
    if done.code == 2 and new and not (done.beside and "tfevents" in new[0].name):
        return f"it was refused, and left {_short(new[0])} behind"
    return ""


def _kept(before: Snapshot, after: Snapshot, done: Done) -> str:
    """Check that every readable checkpoint, or a later one of its history, still exists."""
    for folder in {p.parent.parent for p in before.files if p.suffix == ".ckpt"}:
        touched = any(folder in p.parents and p.suffix == ".ckpt" for p in changed(before, after))
        kept = not done.overwrites and not _settled(folder, after)
        if before.newest(folder) < 0 and touched and kept:
            return f"{_short(folder)}, whose checkpoints can't be read, was written to"
    digests = {g.digest for g in after.good}
    replaced = _replaced(before, after) if done.overwrites else None
    for good in before.good:
        name = f"{_short(good.path)} (step {good.step})"
        again = done.older and good.step > done.began >= 0
        if good.digest in digests or good.folder == replaced or again:
            continue
        if _settled(good.folder, after):
            continue
        bests = [g for g in after.good if g.folder == good.folder and g.path.name[:4] == "best"]
        if good.path.name.startswith("best") and not bests:
            return f"{name} is gone, and no other best is there"
        if after.newest(good.folder) < good.step:
            newest = after.newest(good.folder)
            return f"{name} is gone; the newest of that run is of step {newest}"
        steps = {g.step for g in before.good if g.folder == good.folder}
        if done.began not in {*steps, -1}:
            return f"{name} was replaced by a run that began at step {done.began}"
    return ""


def _replaced(before: Snapshot, after: Snapshot) -> Path | None:
    """Return the run that a new run replaced, once that has saved anything."""
    former = {g.digest for g in before.good}
    new = {g.folder for g in after.good if g.digest not in former}
    return next(iter(new & before.folders), None)


def _settled(folder: Path, after: Snapshot) -> bool:
    """A run that was replaced, and went once the one in its place had ended."""
    former, mark, _ = folder.name.partition(".replaced")
    return bool(mark) and folder.with_name(former) / "metrics.json" in after.files


def _logs(before: Snapshot, after: Snapshot, done: Done) -> str:
    """Check that the rows before the step of the resume still exist."""
    touched = {f for f in before.folders for p in changed(before, after) if f in p.parents}
    if done.began < 0 or done.overwrites:
        return ""
    for folder in touched & set(before.rows):
        if folder not in after.folders:
            continue
        for step, former in before.rows[folder].items():
            now = after.rows.get(folder, {}).get(step, Counter())
            if step < done.began and former - now:
                return f"{_short(folder)}/metrics.csv has lost a row of step {step}"
    return ""


def _short(path: Path) -> str:
    """Return the path relative to the run root."""
    return str(path)[str(path).find("runs/") :]
