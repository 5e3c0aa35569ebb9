"""Checkpoint files, written atomically with a digest that is verified on reading."""

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
from gdlightning.storage.atomic_write import open_atomic
from gdlightning.storage.plain_values import decode

KEY = "gdlightning"
"""Key of gdlightning's metadata in a checkpoint."""

FORMAT = 1
"""Version of the checkpoint format. It changes when older versions cannot read it."""

LAST = "last.ckpt"
"""Name of the newest checkpoint of a run."""

DIGEST_PREFIX = b"sha256:"
COMMENT_BYTES = len(DIGEST_PREFIX) + 64
CHUNK_BYTES = 1 << 20


class HashingWriter(io.BufferedIOBase):
    """Writable stream that computes the digest of the bytes it forwards."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.last = stream, b""
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Forward the data, except for the last two bytes: the length of the zip comment."""
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
        """Return True."""
        return True


def write(content: dict[str, Any], path: Path, before: Callable[[], None] = lambda: None) -> None:
    """Write a checkpoint atomically.

    The file is a zip archive of ``torch.save`` that ``torch.load`` can read. The zip comment holds
    the digest of all its bytes, because torch does not verify the checksums in the archive. The
    file is read back before it replaces the previous one.

    Args:
        content: The checkpoint: nested containers of tensors and plain values.
        path: The checkpoint file.
        before: Called after the file is verified and before it replaces the previous one.

    Raises:
        StorageError: If the file cannot be written. A previous file is unchanged.
        UserError: If the file cannot be read back because it contains other values.
    """

    def ready(temporary: Path) -> None:
        _read_back(temporary, path)
        before()

    with open_atomic(path, before=ready) as stream:
        hashing = HashingWriter(stream)
        try:
            torch.save(content, cast(IO[bytes], hashing))
        except Exception:
            if hashing.error is not None:
                raise hashing.error from None
            raise
        hashing.digest.update(hashing.last)
        comment = DIGEST_PREFIX + hashing.digest.hexdigest().encode()
        stream.write(struct.pack("<H", COMMENT_BYTES) + comment)


def _read_back(temporary: Path, path: Path) -> None:
    """Load a file that was just written, with memory-mapped tensors.

    Raises:
        UserError: If it cannot be loaded.
    """
    try:
        torch.load(temporary, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        lines = [line for line in str(error).splitlines() if "Unsupported" in line] or [str(error)]
        raise UserError(
            f"The checkpoint {path} was not written: it cannot be read back.\n{lines[0].strip()}"
        ) from error


class DamagedCheckpointError(UserError):
    """The file is not a valid checkpoint. An older checkpoint can be used instead."""


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Only tensors and plain values are loaded; no code is executed.

    Raises:
        DamagedCheckpointError: If the file is damaged or contains other values.
        StorageError: If the file system cannot read the file.
        UserError: If the format is not supported or there is not enough memory.
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
            f"The checkpoint {path} has format {own['format']}; this version of gdlightning reads "
            f"format {FORMAT}.\nUse the version that wrote the checkpoint, or a newer one."
        )
    try:
        plain: dict[str, Any] = decode(found)
    except RecursionError as error:
        raise DamagedCheckpointError(f"{path} is nested too deeply for a checkpoint.") from error
    return plain


def _unreadable(path: Path, error: Exception, digested: bool) -> UserError:
    """Return the error for a file that cannot be read.

    If the digest matches, the file is as it was written. The cause is then temporary, such as a
    lack of memory, and the file is not reported as damaged.
    """
    first = (str(error).strip() or type(error).__name__).split("\n")[0]
    if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: offsets in the file
        return StorageError(f"The checkpoint {path} cannot be read: {error.strerror or first}.")
    if isinstance(error, MemoryError) or (digested and "allocate memory" in first):
        return UserError(f"There is not enough memory to read the checkpoint {path}.")
    if first.startswith("PytorchStreamReader failed") and not digested:
        return DamagedCheckpointError(
            f"The checkpoint {path} is damaged: it is not a complete torch archive."
        )
    message = f"The checkpoint {path} cannot be read: "
    if first.startswith("Weights only load failed"):  # the rest of the message is about torch.load
        return DamagedCheckpointError(
            f"{message}it is not a checkpoint, or contains unsupported types."
        )
    return (UserError if digested else DamagedCheckpointError)(message + first)


def verify(path: Path) -> bool:
    """Verify the digest of a file.

    Returns:
        True if the file has a digest and it matches, False if the file has no digest.

    Raises:
        DamagedCheckpointError: If the digest does not match.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - COMMENT_BYTES))
        comment = stream.read()
        if size <= COMMENT_BYTES + 2 or not comment.startswith(DIGEST_PREFIX):
            return False
        stream.seek(0)
        digest, left = hashlib.sha256(), size - COMMENT_BYTES - 2
        while left and (chunk := stream.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            left -= len(chunk)
        digest.update(b"\0\0")  # the archive had no comment when its digest was computed
    if digest.hexdigest().encode() != comment[len(DIGEST_PREFIX) :]:
        raise DamagedCheckpointError(
            f"The checkpoint {path} is damaged: its digest does not match."
        )
    return True


def candidates(folder: Path) -> list[Path]:
    """List the checkpoints of a run, newest first.

    ``last.ckpt`` comes first, then the previous ones, then all others by modification time.

    Raises:
        StorageError: If the folder exists but cannot be listed.
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
