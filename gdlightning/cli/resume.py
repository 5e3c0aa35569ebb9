"""Going on with a run that was stopped: which one, from which checkpoint, and whether it may."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdlightning.cli.checkpoint import newest_whole
from gdlightning.cli.config import Config
from gdlightning.cli.folder import FINISHED, held, new_folder, plain, versions
from gdlightning.cli.sources import read_yaml
from gdlightning.errors import UserError

HARMLESS = (
    "resume", "resume_changed", "recompute", "name", "run_root", "loggers", "max_time", "watch.",
    "monitor.", "checkpoint.", "stop_after",
    "trainer.enable_progress_bar", "trainer.log_every_n_steps", "trainer.enable_model_summary",
    "trainer.profiler",
)  # fmt: skip
"""Options that may differ: they change what is shown or kept, not what is learnt."""


@dataclass(frozen=True)
class Run:
    """The folder that a training writes to, and the checkpoint that it goes on from, if any."""

    folder: Path
    checkpoint: Path | None = None
    resumed: bool = False


@contextlib.contextmanager
def open_run(config: Config, first_rank: bool) -> Iterator[Run]:
    """The run of a config: a new one, or the one that ``resume`` asks for, held until the end.

    Only the first rank makes and holds folders; the others find what it has found.

    Raises:
        UserError: there is no such run, it is held by another process, or its options differ.
    """
    general = config.values
    wanted = general.get("resume")
    with contextlib.ExitStack() as stack:
        for folder in _unfinished(config) if wanted == "auto" else [Path(str(wanted))]:
            if wanted is None:
                break
            if wanted != "auto":
                folder = _named(folder)
            if first_rank and not stack.enter_context(held(folder)):
                if wanted == "auto":
                    continue
                raise UserError(f"resume: another process is training in {folder}.")
            if wanted != "auto":
                _compare(config, folder)
            yield Run(folder, newest_whole(folder / "checkpoints"), resumed=True)
            return
        if not first_rank:
            yield Run(Path(general["run_root"]) / general["name"] / "version_0")
            return
        folder = new_folder(general["run_root"], general["name"])
        stack.enter_context(held(folder))
        yield Run(folder)


def _unfinished(config: Config) -> list[Path]:
    """Unfinished runs of this very config, newest first; others are told of."""
    found = []
    for folder in versions(config.values["run_root"], config.values["name"]):
        if (folder / FINISHED).exists() or not (folder / "config.yaml").is_file():
            continue
        changed = differences(config, folder)
        if not changed:
            found.append(folder)
        else:
            print(f"Not going on with {folder}, its config differs: {changed[0]}", file=sys.stderr)
    return found


def _named(where: Path) -> Path:
    """The run folder of a path to it or to one of its checkpoints."""
    folder = where.parent.parent if where.suffix == ".ckpt" else where
    if not (folder / "config.yaml").is_file():
        raise UserError(
            f"resume: {where} is no run folder (it has no config.yaml).\n"
            "Write auto, or a folder such as runs/tabular/version_0."
        )
    return folder


def _compare(config: Config, folder: Path) -> None:
    """Tell of changed options; refuse those that make the result something else.

    Raises:
        UserError: some differ and ``resume_changed`` is not set.
    """
    changed = differences(config, folder)
    shown = "; ".join(changed[:4]) + ("; …" if len(changed) > 4 else "")
    if changed and not config.values["resume_changed"]:
        raise UserError(
            f"resume: {folder} was trained with other options: {shown}.\n"
            "The result would be neither run's. Write --resume_changed true to go on all the same."
        )
    if changed:
        print(f"Going on with {folder}, changed: {shown}", file=sys.stderr)
    if (folder / FINISHED).exists() and not changed:
        raise UserError(
            f"resume: {folder} is finished.\nTo train on, raise trainer.max_epochs or max_steps "
            "and add --resume_changed true; or start from its weights with --init_from."
        )


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
                "Give it the data that it was trained with, or start a new run."
            )
    before, present = record.get("environment", {}), now.get("environment", {})
    if before.get("processes") != present.get("processes"):
        raise UserError(
            f"resume: {folder} was trained by {before.get('processes')} processes, now there are "
            f"{present.get('processes')}.\nGive it the same trainer.devices and num_nodes."
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
