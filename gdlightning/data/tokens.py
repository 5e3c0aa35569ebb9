"""Text as numbers: bytes or characters, memory-mapped, any size."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdlightning.errors import UserError

CHUNK = 1 << 22


class Bytes:
    """A token a byte of UTF-8, 0 to 255; it needs no vocabulary."""

    size = 256

    def encode(self, text: str) -> list[int]:
        """Text → tokens."""
        return list(text.encode("utf-8"))

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens → text; broken characters at the ends are replaced."""
        return bytes(tokens).decode("utf-8", errors="replace")

    def byte_lengths(self) -> Tensor:
        """Bytes of each token, int64 [256]."""
        return torch.ones(256, dtype=torch.int64)

    def corpus(self, files: Sequence[Path]) -> np.ndarray[Any, Any]:
        """The files one after the other, mapped from disk where there is but one."""
        if len(files) == 1 and files[0].stat().st_size:  # an empty file can't be mapped
            return np.memmap(files[0], dtype=np.uint8, mode="r")
        return _joined(files, np.dtype(np.uint8), lambda chunk: np.frombuffer(chunk, np.uint8))


class Characters:
    """A token a character of a given alphabet; 0 stands for all others.

    Args:
        alphabet: the known characters, sorted.
    """

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        self.number = {c: k + 1 for k, c in enumerate(alphabet)}
        self.size = len(alphabet) + 1

    @classmethod
    def of(cls, files: Sequence[Path]) -> Characters:
        """All characters of the files."""
        found: set[str] = set()
        for file in files:
            with file.open(encoding="utf-8", errors="replace", newline="") as stream:
                while text := stream.read(CHUNK):
                    found |= set(text)
        return cls("".join(sorted(found)))

    def encode(self, text: str) -> list[int]:
        """Text → tokens."""
        return [self.number.get(c, 0) for c in text]

    def decode(self, tokens: Sequence[int]) -> str:
        """Tokens → text."""
        return "".join(self.alphabet[k - 1] if k else "\ufffd" for k in tokens)

    def byte_lengths(self) -> Tensor:
        """Bytes of each token in UTF-8, int64 [V]; an unknown character counts 1."""
        return torch.tensor([1, *(len(c.encode("utf-8")) for c in self.alphabet)])

    def corpus(self, files: Sequence[Path]) -> np.ndarray[Any, Any]:
        """The encoded files, mapped from a temporary file."""
        kind = np.dtype(np.uint16 if self.size < 1 << 16 else np.uint32)
        return _joined(files, kind, lambda text: np.array(self.encode(text), kind), text=True)


Tokenizer = Bytes | Characters


def _joined(
    files: Sequence[Path], kind: np.dtype[Any], encode: Any, text: bool = False
) -> np.ndarray[Any, Any]:
    """The encoded files as one array, mapped from a temporary file that goes with the process."""
    total = 0
    with tempfile.TemporaryFile() as whole:
        for file in files:
            mode: dict[str, Any] = (
                {"encoding": "utf-8", "errors": "replace", "newline": ""} if text else {}
            )
            with file.open("r" if text else "rb", **mode) as stream:
                while chunk := stream.read(CHUNK):
                    part = encode(chunk)
                    whole.write(part.tobytes())
                    total += len(part)
        if total == 0:
            return np.zeros(0, kind)
        whole.flush()
        return np.memmap(whole, dtype=kind, mode="r", shape=(total,))


def find_files(path: str, key: str) -> list[Path]:
    """A file, the .txt and .md files of a folder, or those that a pattern matches; sorted.

    Raises:
        UserError: there is none.
    """
    given = Path(path)
    if given.is_file():
        return [given]
    if given.is_dir():
        found = sorted(p for p in given.rglob("*") if p.suffix in (".txt", ".md", ".rst"))
    else:
        found = sorted(Path(p) for p in glob(path, recursive=True) if Path(p).is_file())
    if not found:
        raise UserError(
            f"{key}: {path} is no text file, no folder with .txt, .md or .rst files, and no "
            "pattern that matches any.",
            key=key,
        )
    return found
