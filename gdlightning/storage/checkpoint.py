"""Checkpoint files: written whole, with a digest that is checked when they are read."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import torch

from gdlightning.errors import StorageError, UserError
from gdlightning.storage.atomic_write import whole
from gdlightning.storage.plain_values import decode

KEY = "gdlightning"
"""Where our own record stands in a checkpoint."""

FORMAT = 1
"""Of our record; it changes when an older gdlightning can't read it."""

LAST = "last.ckpt"
"""Name of the newest checkpoint of a run."""

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
    bytes is the archive's comment: torch does not check the sums inside. The file is read back
    before it takes its place.

    Raises:
        StorageError: it can't be written; a former file of that name is as it was.
        UserError: it could not be read again, since it holds more than tensors and plain values.
    """

    def ready(temporary: Path) -> None:
        _read_back(temporary, path)
        before()

    with whole(path, before=ready) as stream:
        hashing = Hashing(stream)
        try:
            torch.save(content, cast(IO[bytes], hashing))
        except Exception:
            if hashing.error is not None:
                raise hashing.error from None
            raise
        hashing.digest.update(hashing.last)
        stream.write(struct.pack("<H", COMMENT) + MARK + hashing.digest.hexdigest().encode())


def _read_back(temporary: Path, path: Path) -> None:
    """Load a file that was just written, its tensors by memory map.

    Raises:
        UserError: It cannot be loaded.
    """
    try:
        torch.load(temporary, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        lines = [line for line in str(error).splitlines() if "Unsupported" in line] or [str(error)]
        raise UserError(
            f"The checkpoint {path} is not written: it could not be read again.\n{lines[0].strip()}"
        ) from error


class DamagedCheckpointError(UserError):
    """The file is not a usable checkpoint and never will be: an older one can take its place."""


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint; only tensors and plain values are loaded, no code is run.

    Raises:
        DamagedCheckpointError: the file is damaged, or holds more than weights and plain values.
        StorageError: the file system does not deliver the file.
        UserError: the file has another format, or there is not enough memory to read it.
    """
    digested = False
    try:
        digested = verify(path)
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:
        raise _unreadable(path, error, digested) from error
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise DamagedCheckpointError(f"{path} is not a checkpoint of a run: it has no state_dict.")
    if not all(isinstance(name, str) for name in found["state_dict"]):
        raise DamagedCheckpointError(
            f"{path} is not a checkpoint of a run: its weights have no names."
        )
    if KEY in found and not digested:
        raise DamagedCheckpointError(f"The checkpoint {path} is damaged: its digest is missing.")
    own = found.get(KEY)
    if isinstance(own, dict) and own.get("format", FORMAT) != FORMAT:
        raise UserError(
            f"The checkpoint {path} has format {own['format']}; this gdlightning reads {FORMAT}.\n"
            "Use the gdlightning that wrote it, or a newer one."
        )
    try:
        plain: dict[str, Any] = decode(found)
    except RecursionError as error:
        raise DamagedCheckpointError(f"{path} is nested too deeply for a checkpoint.") from error
    return plain


def _unreadable(path: Path, error: Exception, digested: bool) -> UserError:
    """Tell a damaged file from one that is good as far as anyone can tell.

    A digest that matches proves that the file is as it was written; what prevents reading it then,
    such as a lack of memory, may pass.
    """
    first = (str(error).strip() or type(error).__name__).split("\n")[0]
    if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: offsets in the file
        return StorageError(f"The checkpoint {path} cannot be read: {error.strerror or first}.")
    if isinstance(error, MemoryError) or (digested and "allocate memory" in first):
        return UserError(f"There is not enough memory to read the checkpoint {path}.")
    if first.startswith("PytorchStreamReader failed") and not digested:
        return DamagedCheckpointError(
            f"The checkpoint {path} is damaged: it is not a whole archive of torch's."
        )
    message = f"The checkpoint {path} cannot be read: "
    if first.startswith("Weights only load failed"):  # the rest of the message is about torch alone
        return DamagedCheckpointError(
            f"{message}it is not a checkpoint, or holds more than weights and plain values."
        )
    return (UserError if digested else DamagedCheckpointError)(message + first)


def verify(path: Path) -> bool:
    """Return whether the file carries a digest; one that does not match is an error.

    Raises:
        DamagedCheckpointError: the digest does not match.
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
        raise DamagedCheckpointError(
            f"The checkpoint {path} is damaged: its digest does not match."
        )
    return True


def candidates(folder: Path) -> list[Path]:
    """List a run's checkpoints, newest first: last, the former ones, then any other by its age.

    Raises:
        StorageError: the folder is there but cannot be listed.
    """
    try:
        names = {name for name in os.listdir(folder) if name.endswith(".ckpt")}
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not folder.is_symlink():
            return []
        raise StorageError(f"{folder} cannot be read: {error.strerror}.") from error
    former = sorted((n for n in names if n.startswith("previous-")), key=lambda n: (len(n), n))
    known = [n for n in (LAST, *former) if n in names]
    others = sorted(
        (folder / n for n in names.difference(known)),
        key=lambda p: p.lstat().st_mtime,
        reverse=True,
    )
    return [*(folder / n for n in known), *others]
