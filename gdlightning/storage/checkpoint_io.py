"""Lightning's plugins for checkpoint files: whole, with plain values, the last few kept."""

from __future__ import annotations

import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.plugins.io import AsyncCheckpointIO

from gdlightning.errors import UserError
from gdlightning.storage.atomic_write import whole
from gdlightning.storage.checkpoint import read, write
from gdlightning.storage.plain_values import NotPlain, describe, encode, kind


class WholeCheckpoints(CheckpointIO):
    """Lightning's way to checkpoint files: whole, digested, the last few kept.

    ``storage_options`` of a save: ``keep``, how many files of that name to keep (the former ones
    become ``previous-1``, ``previous-2``, …), or ``replaces``, a file that goes once this one is
    on the disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; called on the first rank alone.

        Raises:
            OSError: the folder of the run is gone.
            StorageError: it can't be written.
        """
        options, target = storage_options or {}, Path(path)
        # In a run's folder, that folder must not come back once somebody has removed it.
        target.parent.mkdir(parents=storage_options is None, exist_ok=True)
        keep = options.get("keep", 1)
        write(checkpoint, target, before=lambda: keep_former(target, keep))
        former = options.get("replaces")
        if former and Path(former) != target:
            Path(former).unlink(missing_ok=True)

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint as data, whatever Lightning asks for.

        Raises:
            UserError: it is damaged.
        """
        return read(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a file."""
        Path(path).unlink(missing_ok=True)


def keep_former(target: Path, keep: int) -> None:
    """Give the present ``target`` a second name, ``previous-1``, and the older ones the next.

    ``target`` itself stays where it is until a new one takes its place in one rename.
    """
    names = [target.with_name(f"previous-{k}{target.suffix}") for k in range(1, keep)]
    if not names or not target.exists():
        return
    for newer, older in reversed(list(pairwise(names))):
        if newer.exists():
            newer.replace(older)
    second = target.with_name(f".{names[0].name}.{os.getpid()}.tmp")
    second.unlink(missing_ok=True)
    try:
        os.link(target, second)
    except OSError:  # a file system without second names
        shutil.copyfile(target, second)
    second.replace(names[0])


def make_last(chosen: Path, last: Path, keep: int) -> None:
    """Copy a checkpoint to ``last``; former ones are kept as when a run is saved.

    The copy has a new time, so that it counts as newer than what was saved after the original.

    Raises:
        StorageError: It cannot be written.
    """
    with (
        chosen.open("rb") as source,
        whole(last, before=lambda temporary: keep_former(last, keep)) as target,
    ):
        shutil.copyfileobj(source, target)


HYPER_PARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters", "hparams_type")
"""Keys that are not read on resume: what cannot be stored is left out of them."""


def plain_content(content: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return a checkpoint with plain values alone.

    Returns:
        The content; a line for each part that is left out and not needed on resume; and one for
        each part without which a run cannot be resumed.
    """
    plain: dict[str, Any] = {}
    optional: list[str] = []
    needed: list[str] = []
    for key, value in content.items():
        try:
            plain[key] = encode(value, (key,))
        except NotPlain as error:
            whole = isinstance(value, dict) and (key in (*HYPER_PARAMETERS, "callbacks"))
            plain |= {key: _without(key, value, optional)} if whole else {}
            if not whole and key not in HYPER_PARAMETERS:
                needed.append(f"{describe(error.path)} is {kind(error.value)}")
    return plain, optional, needed


def _without(key: str, parts: dict[Any, Any], left_out: list[str]) -> dict[Any, Any]:
    """Return the parts that can be stored, and note the others."""
    kept = {}
    for name, part in parts.items():
        try:
            kept[name] = encode(part, (key, name))
        except NotPlain as error:
            what = f"{describe(error.path)} is {kind(error.value)}, which a checkpoint cannot hold"
            after = (
                f"the state of {name} is not saved: after a resume it starts afresh."
                if key == "callbacks"
                else "it is left out: pass it to load_from_checkpoint yourself."
            )
            left_out.append(f"{what}; {after}")
    return kept


class PlainCheckpoints(AsyncCheckpointIO):
    """Lightning's asynchronous saving, of checkpoints whose values have been made plain."""

    def __init__(self) -> None:
        super().__init__(WholeCheckpoints())
        self._told: set[str] = set()

    def save_checkpoint(self, checkpoint: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint in the background; say once what is left out of it."""
        plain, optional, needed = plain_content(checkpoint)
        self.tell(optional + [f"{n}, which a checkpoint cannot hold; it is left out, and a resume "
                              "may fail without it." for n in needed])  # fmt: skip
        super().save_checkpoint(plain, *args, **kwargs)

    def tell(self, notes: list[str]) -> None:
        """Print each note once."""
        for note in notes:
            if note not in self._told:
                self._told.add(note)
                print(f"Note: {note}", file=sys.stderr)

    def check(self, checkpoint: dict[str, Any]) -> None:
        """Refuse, before training, a checkpoint without parts that a resume needs.

        Raises:
            UserError: A part can't be stored.
        """
        _, optional, needed = plain_content(checkpoint)
        if needed:
            raise UserError(
                f"checkpoint: {needed[0]}, which a checkpoint cannot hold, and no run could be "
                "resumed without it.\nGive it as tensors, numbers, texts, or values of standard "
                "types (in on_save_checkpoint, state_dict or get_extra_state),\nor train without "
                "checkpoints: --trainer.enable_checkpointing false."
            )
        self.tell(optional)
