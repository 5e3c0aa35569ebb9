"""Going on with a run that was stopped: which one, from which checkpoint, and whether it may."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdlightning.config.schema import Config
from gdlightning.config.settings import read_yaml
from gdlightning.errors import UserError
from gdlightning.runs.find_checkpoint import (
    check_resumable,
    newest_whole,
    read_checkpoint,
    record_of,
)
from gdlightning.runs.run_folder import (
    CONFIG,
    FINISHED,
    make_run,
    named_run,
    number,
    plain,
    replace,
    settle,
    settle_finished,
    to_yaml,
    versions,
)
from gdlightning.runs.run_lock import held
from gdlightning.storage.checkpoint_file import LAST

HARMLESS = (
    "resume",
    "resume_changed",
    "resume_schedule",
    "overwrite",
    "recompute",
    "name",
    "run_root",
    "loggers",
    "dry_run",
    "quiet",
    "max_time",
    "check_resume",
    "stop_after",
    "watch.",
    "monitor.",
    "checkpoint.",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.enable_model_summary",
    "trainer.profiler",
)
"""Options that may differ: they change what is shown or kept, not what is learnt."""


LENGTHS = ("trainer.max_epochs", "trainer.max_steps")
"""Options that a run may be resumed with if they are higher than before."""


@dataclass(frozen=True)
class Run:
    """The folder that a run writes to, and the checkpoint that it resumes from, if any.

    Attributes:
        folder: of the run.
        checkpoint: to resume from; None for a run that starts at step 0.
        resumed: whether the folder was there before.
        longer: how the schedule continues in a run that is longer than before (stretch, restart or
            constant); empty if its length is the same.
        named: whether the user named that checkpoint, so that it may not be the newest.
        made: the folders that this process made for it, its own first.
        replaced: where the run is that it replaces, if any.
    """

    folder: Path
    checkpoint: Path | None = None
    resumed: bool = False
    longer: str = ""
    named: bool = False
    made: tuple[Path, ...] = ()
    replaced: Path | None = None


@contextlib.contextmanager
def open_run(config: Config, first_rank: bool) -> Iterator[Run]:
    """Open the run of a config, a new one or the one that ``resume`` asks for, and hold it.

    Only the first rank makes, holds and replaces folders; the others find what it has found.

    Raises:
        UserError: there is no such run, another process holds it, its options differ, or its
            checkpoints cannot be read.
    """
    wanted, overwrite = config.values["resume"], config.values["overwrite"]
    config.values["overwrite"] = False  # or the config that a run keeps would replace it later
    schedule, config.values["resume_schedule"] = config.values["resume_schedule"], None
    with ExitStack() as stack:
        if wanted in (None, "auto"):
            yield _next_run(config, overwrite, first_rank, stack)
        else:
            yield _named_run(config, Path(wanted), schedule, first_rank, stack)


def planned_run(config: Config) -> Run:
    """Return the run that ``open_run`` would open now, and change nothing.

    Raises:
        UserError: as ``open_run``, except that the folder is not locked.
    """
    wanted = config.values["resume"]
    if wanted not in (None, "auto"):
        where = Path(wanted)
        folder = named_run(where)
        longer = _compare(config, folder, config.values["resume_schedule"])
        checkpoint = where if where.is_file() else None
        return Run(folder, checkpoint, resumed=True, longer=longer)
    parent = Path(config.values["run_root"]) / config.values["name"]
    taken = versions(parent)
    unfinished = _unfinished(config, taken) if wanted == "auto" else None
    if unfinished is not None:
        return Run(unfinished, resumed=True)
    if config.values["overwrite"] and taken:
        return Run(taken[0])
    return Run(parent / f"version_{number(taken[0]) + 1 if taken else 0}")


def _named_run(
    config: Config, where: Path, schedule: str | None, first_rank: bool, stack: ExitStack
) -> Run:
    """Open the run at a path: of its folder, or of the checkpoint to resume from."""
    folder = named_run(where)
    if first_rank:
        _hold(folder, "resume", "Wait for it to end, or stop it first.", stack)
    longer = _compare(config, folder, schedule)
    if first_rank and not (folder / FINISHED).exists():
        stack.callback(settle_finished, folder)
    if not where.is_file():
        return Run(folder, newest_whole(folder / "checkpoints"), resumed=True, longer=longer)
    content = read_checkpoint(where)
    record_of(content, where)
    check_resumable(content, where)
    last = folder / "checkpoints" / LAST
    if first_rank and last.exists() and last.stat().st_mtime > where.stat().st_mtime:
        kept = config.values["checkpoint"]["keep"] > 1
        print(
            f"{last} is newer than {where.name}: its later steps are left out, and it "
            f"{'becomes previous-1.ckpt' if kept else 'is replaced'} before the first step."
        )
    return Run(folder, where, resumed=True, longer=longer, named=True)


def _next_run(config: Config, overwrite: bool, first_rank: bool, stack: ExitStack) -> Run:
    """Open the newest unfinished run of this config if ``resume`` is auto, else a new one."""
    parent = Path(config.values["run_root"]) / config.values["name"]
    while True:
        taken = versions(parent)
        folder = _unfinished(config, taken) if config.values["resume"] == "auto" else None
        own = stack.enter_context(ExitStack())
        if folder is not None and first_rank:
            _hold(
                folder,
                "resume",
                "Wait for it to end, choose another --name, or leave --resume "
                "out to start a new version.",
                own,
            )
        if folder is not None and not (folder / FINISHED).exists():
            if first_rank:
                own.callback(settle_finished, folder)
            return Run(folder, newest_whole(folder / "checkpoints"), resumed=True)
        if folder is None and not first_rank:
            return Run(parent / "version_0")
        run = None if folder is not None else _new_run(config, parent, taken, overwrite, own)
        if run is not None:
            return run
        own.close()  # another process has finished that run, or taken that number: look again


def _new_run(
    config: Config, parent: Path, taken: Sequence[Path], overwrite: bool, stack: ExitStack
) -> Run | None:
    """Open a new run, with the next number or in the place of the newest.

    Returns:
        The run; None where another process has taken the number.
    """
    former = taken[0] if overwrite and taken else None
    if former is not None:
        if not (former / CONFIG).is_file():
            raise UserError(
                f"overwrite: {former} is not a run folder (it has no {CONFIG}).\n"
                "Move it away, or choose another --name.",
                key="overwrite",
            )
        _hold(former, "overwrite", "Wait for it to end, or leave --overwrite out.", stack)
    folder = parent / f"version_{number(taken[0]) + 1 if taken else 0}"
    made = make_run(folder, to_yaml(config.values), stack)
    if former is None or not made:
        return Run(folder, made=made) if made else None
    aside = replace(former, folder)
    stack.callback(settle, former, aside)
    print(f"Replacing {former}; it is kept as {aside.name} until the new run has saved and ended.")
    return Run(former, made=(former, *made[1:]), replaced=aside)


def _hold(folder: Path, key: str, advice: str, stack: ExitStack) -> None:
    """Hold a folder until the stack is closed.

    Raises:
        UserError: another process holds it.
    """
    if not stack.enter_context(held(folder)):
        raise UserError(f"{key}: another process is training in {folder}.\n{advice}", key=key)


def _unfinished(config: Config, taken: Sequence[Path]) -> Path | None:
    """Find the newest unfinished run of this very config; newer ones of others are reported."""
    for folder in taken:
        if (folder / FINISHED).exists() or not (folder / CONFIG).is_file():
            continue
        changed = differences(config, folder)
        if not changed:
            return folder
        print(f"Not resuming {folder}, its config differs: {changed[0]}", file=sys.stderr)
    return None


def _compare(config: Config, folder: Path, schedule: str | None) -> str:
    """Report changed options, and check that they do not make the result something else.

    Returns:
        How the schedule continues if the run is longer than before, else an empty string.

    Raises:
        UserError: some differ and ``resume_changed`` is not set, or there is nothing to train.
    """
    longer = _longer(config, folder)
    finished = (folder / FINISHED).exists()
    changed = [c for c in differences(config, folder) if not longer or c.split()[0] not in LENGTHS]
    shown = "; ".join(changed[:4]) + ("; …" if len(changed) > 4 else "")
    if changed and not config.values["resume_changed"]:
        raise UserError(
            f"resume: {folder} was trained with other options: {shown}.\n"
            "The result would be neither run's. Write --resume_changed true to go on all the same.",
            key="resume",
        )
    if schedule is not None and not longer and not changed:
        raise UserError(
            f"resume_schedule {schedule} has no effect: the run is not longer than before.\n"
            "Set a higher trainer.max_epochs or trainer.max_steps, or remove it.",
            key="resume_schedule",
        )
    if changed:
        print(f"Resuming {folder} with changed options: {shown}", file=sys.stderr)
    if finished and not changed and not longer:
        raise UserError(
            f"resume: {folder} is finished.\nTo train longer, set a higher length: "
            f"--resume {folder} --trainer.max_epochs N (or max_steps). To start a new run from its "
            "weights, use --init_from.",
            key="resume",
        )
    return (schedule or ("restart" if finished else "stretch")) if longer else ""


def _longer(config: Config, folder: Path) -> bool:
    """Return whether a limit of the length is higher than the run's, and none is lower."""
    before = read_yaml(str(folder / CONFIG)).get("trainer", {})
    names = [key.partition(".")[2] for key in LENGTHS]
    pairs = [(_limit(before.get(n)), _limit(config.values["trainer"].get(n))) for n in names]
    return any(b > a for a, b in pairs) and all(b >= a for a, b in pairs)


def _limit(given: Any) -> float:
    return math.inf if given in (None, -1) else float(given)


def differences(config: Config, folder: Path) -> list[str]:
    """``KEY (before → now)`` of each option that matters and differs from the run's."""
    before = _flat(read_yaml(str(folder / "config.yaml")))
    now = _flat(plain(config.values))
    keys = [k for k in sorted({*before, *now}) if before.get(k) != now.get(k)]
    return [
        f"{key} ({before.get(key)} → {now.get(key)})"
        for key in keys
        if not any(key == h or (h.endswith(".") and key.startswith(h)) for h in HARMLESS)
    ]


def check_data(record: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with other data, or another number of processes; tell of other versions.

    Args:
        record: of the checkpoint.
        now: what would be recorded now.
        folder: of the run.

    Raises:
        UserError: sizes, preprocessing, numbers of examples, or the number of processes differ.
    """
    for key in ("sizes", "fitted", "examples"):
        if record.get(key) != now.get(key):
            raise UserError(
                f"resume: the data is not the same as that of {folder} ({key} differ).\n"
                "Give it the data that it was trained with, or start a new run.",
                key="resume",
            )
    before, present = record.get("environment", {}), now.get("environment", {})
    if before.get("processes") != present.get("processes"):
        raise UserError(
            f"resume: {folder} was trained by {before.get('processes')} processes, now there are "
            f"{present.get('processes')}.\nGive it the same trainer.devices and num_nodes.",
            key="resume",
        )
    for key, value in present.items():
        if before.get(key) != value:
            print(
                f"Note: {key} was {before.get(key)}, now {value}; the last bits may differ.",
                file=sys.stderr,
            )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
