"""Checkpoint files: written whole, with a digest that is checked when they are read."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, cast

import torch
from lightning.fabric.plugins import CheckpointIO

from gdlightning.errors import UserError
from gdlightning.storage.write import whole

KEY = "gdlightning"
"""Where our own record stands in a checkpoint."""

FORMAT = 1
"""Of our record; it changes when an older gdlightning can't read it."""

MARK = b"sha256:"
COMMENT = len(MARK) + 64
CHUNK = 1 << 20


class Hashing(io.BufferedIOBase):
    """Passes bytes on to a stream and keeps their digest."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.last = stream, b""
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write; the last two bytes are held back, for the length of the comment."""
        held = self.last + bytes(data)
        self.last = held[-2:]
        try:
            self.stream.write(held[:-2])
        except OSError as error:  # torch's writer turns it into a RuntimeError without the reason
            self.error = error
            raise
        self.digest.update(held[:-2])
        return len(data)

    def writable(self) -> bool:
        """Yes."""
        return True


def write(content: dict[str, Any], path: Path, before: Callable[[], None] = lambda: None) -> None:
    """Write a checkpoint whole or not at all.

    The file is torch's own zip archive, readable by ``torch.load`` anywhere. The digest of all its
    bytes is the archive's comment: torch does not check the sums inside.

    Raises:
        StorageError: it can't be written; a former file of that name is as it was.
    """
    with whole(path, before=before) as stream:
        hashing = Hashing(stream)
        try:
            torch.save(content, cast(IO[bytes], hashing))
        except Exception:
            if hashing.error is not None:
                raise hashing.error from None
            raise
        hashing.digest.update(hashing.last)
        stream.write(struct.pack("<H", COMMENT) + MARK + hashing.digest.hexdigest().encode())


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's content; only tensors and plain values are read, no code is run.

    Raises:
        UserError: it is damaged, or holds more than weights and plain values.
    """
    try:
        digested = verify(path)
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        if first.startswith("Weights only load failed"):  # what follows speaks of torch alone
            first = "it is no checkpoint, or holds more than weights and plain values."
        raise UserError(f"The checkpoint {path} can't be read: {first}") from error
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise UserError(f"{path} is no checkpoint of a training: it has no state_dict.")
    if not all(isinstance(name, str) for name in found["state_dict"]):
        raise UserError(f"{path} is no checkpoint of a training: its weights have no names.")
    if KEY in found and not digested:
        raise UserError(f"The checkpoint {path} is damaged: its digest is missing.")
    own = found.get(KEY)
    if isinstance(own, dict) and own.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"The checkpoint {path} has format {own['format']}; this gdlightning reads {FORMAT}."
        )
    return found


def verify(path: Path) -> bool:
    """Whether the file carries a digest; one that does not match is an error.

    Raises:
        UserError: the file is damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - COMMENT))
        comment = stream.read()
        if size <= COMMENT + 2 or not comment.startswith(MARK):
            return False
        stream.seek(0)
        digest, left = hashlib.sha256(), size - COMMENT - 2
        while left and (chunk := stream.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
        digest.update(b"\0\0")  # the archive had no comment when its digest was taken
    if digest.hexdigest().encode() != comment[len(MARK) :]:
        raise UserError(f"The checkpoint {path} is damaged: its digest does not match.")
    return True


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


def candidates(folder: Path) -> list[Path]:
    """The checkpoints of a run that training can go on from, newest first."""
    former = sorted(folder.glob("previous-*.ckpt"), key=lambda p: (len(p.name), p.name))
    best = sorted(folder.glob("best-*.ckpt"), key=lambda p: p.stat().st_mtime, reverse=True)
    return [p for p in [folder / "last.ckpt", *former, *best] if p.is_file()]
