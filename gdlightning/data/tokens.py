"""Tokenizers for bytes and characters, with memory-mapped corpora of any size."""

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

CHUNK_SIZE = 1 << 22
"""Bytes or characters that are encoded at once."""


class Bytes:
    """Tokenizer for the bytes of UTF-8 text, 0 to 255."""

    size = 256

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return list(text.encode("utf-8"))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens. Incomplete characters are replaced."""
        return bytes(tokens).decode("utf-8", errors="replace")

    def byte_lengths(self) -> Tensor:
        """Return the number of bytes per token, int64 of shape [256]."""
        return torch.ones(256, dtype=torch.int64)

    def corpus(self, files: Sequence[Path]) -> np.ndarray[Any, Any]:
        """Return the concatenated files, memory-mapped. A single file is mapped directly."""
        if len(files) == 1 and files[0].stat().st_size:  # an empty file cannot be mapped
            return np.memmap(files[0], dtype=np.uint8, mode="r")
        return _joined(files, np.dtype(np.uint8), lambda chunk: np.frombuffer(chunk, np.uint8))


class Characters:
    """Tokenizer for the characters of an alphabet; token 0 represents all others.

    Args:
        alphabet: The known characters, sorted.
    """

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        self.number = {c: k + 1 for k, c in enumerate(alphabet)}
        self.size = len(alphabet) + 1

    @classmethod
    def of(cls, files: Sequence[Path]) -> Characters:
        """Create a tokenizer for all characters in some files."""
        found: set[str] = set()
        for file in files:
            with file.open(encoding="utf-8", errors="replace", newline="") as stream:
                while text := stream.read(CHUNK_SIZE):
                    found |= set(text)
        return cls("".join(sorted(found)))

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return [self.number.get(c, 0) for c in text]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return "".join(self.alphabet[k - 1] if k else "\ufffd" for k in tokens)

    def byte_lengths(self) -> Tensor:
        """Return the number of UTF-8 bytes per token, int64 [V]. Unknown characters count 1."""
        return torch.tensor([1, *(len(c.encode("utf-8")) for c in self.alphabet)])

    def corpus(self, files: Sequence[Path]) -> np.ndarray[Any, Any]:
        """Return the encoded files, memory-mapped from a temporary file."""
        kind = np.dtype(np.uint16 if self.size < 1 << 16 else np.uint32)
        return _joined(files, kind, lambda text: np.array(self.encode(text), kind), text=True)


Tokenizer = Bytes | Characters


def _joined(
    files: Sequence[Path], kind: np.dtype[Any], encode: Any, text: bool = False
) -> np.ndarray[Any, Any]:
    """Encode files into one array, memory-mapped from a temporary file."""
    total = 0
    with tempfile.TemporaryFile() as whole:
        for file in files:
            mode: dict[str, Any] = (
                {"encoding": "utf-8", "errors": "replace", "newline": ""} if text else {}
            )
            with file.open("r" if text else "rb", **mode) as stream:
                while chunk := stream.read(CHUNK_SIZE):
                    part = encode(chunk)
                    whole.write(part.tobytes())
                    total += len(part)
        if total == 0:
            return np.zeros(0, kind)
        whole.flush()
        return np.memmap(whole, dtype=kind, mode="r", shape=(total,))


def find_files(path: str, key: str) -> list[Path]:
    """List the text files that a path matches, sorted.

    Args:
        path: A file, a folder (its .txt, .md and .rst files), or a glob pattern.
        key: The key of the path in error messages.

    Raises:
        UserError: If there is no such file.
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
            f"{key}: {path} is not a file, a folder with .txt, .md or .rst files, or a pattern "
            "that matches a file.",
            key=key,
        )
    return found
