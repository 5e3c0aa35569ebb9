"""Lightning plugins for checkpoint files: atomic, with plain values, with previous versions."""

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
from gdlightning.storage.atomic_write import open_atomic
from gdlightning.storage.checkpoint_file import read, write
from gdlightning.storage.plain_values import UnsupportedValueError, describe, encode, kind


class AtomicCheckpointIO(CheckpointIO):
    """Checkpoint plugin that writes atomically with a digest and keeps previous checkpoints.

    A save accepts ``storage_options``: ``keep`` is the number of versions to keep (the previous
    ones are renamed to ``previous-1``, ``previous-2``, …); ``replaces`` is a file that is removed
    after the new one is written.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint. It is called on rank 0 only.

        Raises:
            OSError: If the run folder was removed.
            StorageError: If the file cannot be written.
        """
        options, target = storage_options or {}, Path(path)
        # A run folder that the user has removed must not be created again.
        target.parent.mkdir(parents=storage_options is None, exist_ok=True)
        keep = options.get("keep", 1)
        write(checkpoint, target, before=lambda: rotate(target, keep))
        replaced = options.get("replaces")
        if replaced and Path(replaced) != target:
            Path(replaced).unlink(missing_ok=True)

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint without executing code, for any value of ``weights_only``.

        Raises:
            UserError: If the checkpoint is damaged.
        """
        return read(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint file."""
        Path(path).unlink(missing_ok=True)


def rotate(target: Path, keep: int) -> None:
    """Link ``target`` as ``previous-1`` and rename older versions to the next number.

    ``target`` itself is not moved, so that the file exists at all times.

    Args:
        target: The current checkpoint.
        keep: The number of versions to keep, including the new one.
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
    except OSError:  # the file system does not support hard links
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
        open_atomic(last, before=lambda temporary: rotate(last, keep)) as target,
    ):
        shutil.copyfileobj(source, target)


HYPER_PARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters", "hparams_type")
"""Keys that are not read on resume. Values in them that cannot be stored are omitted."""


def plain_content(content: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """Convert a checkpoint to plain values.

    Returns:
        The content, a message for each omitted part that a resume does not need, and a description
        of each part that cannot be stored but that a resume needs.
    """
    plain: dict[str, Any] = {}
    optional: list[str] = []
    needed: list[str] = []
    for key, value in content.items():
        try:
            plain[key] = encode(value, (key,))
        except UnsupportedValueError as error:
            partial = isinstance(value, dict) and (key in (*HYPER_PARAMETERS, "callbacks"))
            plain |= {key: _storable(key, value, optional)} if partial else {}
            if not partial and key not in HYPER_PARAMETERS:
                needed.append(f"{describe(error.path)} is {kind(error.value)}")
    return plain, optional, needed


def _storable(key: str, parts: dict[Any, Any], omitted: list[str]) -> dict[Any, Any]:
    """Return the parts that can be stored, and append a message for each of the others."""
    kept = {}
    for name, part in parts.items():
        try:
            kept[name] = encode(part, (key, name))
        except UnsupportedValueError as error:
            what = f"{describe(error.path)} is {kind(error.value)}, which cannot be checkpointed"
            after = (
                f"the state of {name} is not saved and is reset on resume."
                if key == "callbacks"
                else "it is not saved: pass it to load_from_checkpoint."
            )
            omitted.append(f"{what}; {after}")
    return kept


class PlainCheckpointIO(AsyncCheckpointIO):
    """Asynchronous checkpoint plugin that converts checkpoints to plain values."""

    def __init__(self) -> None:
        super().__init__(AtomicCheckpointIO())
        self._printed: set[str] = set()

    def save_checkpoint(self, checkpoint: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint in the background, and print once which parts are omitted."""
        plain, optional, needed = plain_content(checkpoint)
        required = [
            f"{part}, which cannot be checkpointed; it is not saved, and a resume may fail."
            for part in needed
        ]
        self.print_once(optional + required)
        super().save_checkpoint(plain, *args, **kwargs)

    def print_once(self, notes: list[str]) -> None:
        """Print the notes that were not printed before."""
        for note in notes:
            if note not in self._printed:
                self._printed.add(note)
                print(f"Note: {note}", file=sys.stderr)

    def check(self, checkpoint: dict[str, Any]) -> None:
        """Check before training that all parts that a resume needs can be stored.

        Raises:
            UserError: If a part cannot be stored.
        """
        _, optional, needed = plain_content(checkpoint)
        if needed:
            raise UserError(
                f"checkpoint: {needed[0]}, which cannot be checkpointed, and a resume needs it.\n"
                "Convert it to tensors, numbers, strings or standard types (in on_save_checkpoint, "
                "state_dict or get_extra_state),\nor disable checkpoints: "
                "--trainer.enable_checkpointing false."
            )
        self.print_once(optional)
