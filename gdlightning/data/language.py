"""Text for language models; batches are ``(tokens, next tokens)``."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gdlightning.data.data_module import DataModule, Splits
from gdlightning.data.example_input import Input, some_codes
from gdlightning.data.tokens import Bytes, Characters, Tokenizer, find_files
from gdlightning.errors import UserError

__all__ = ["PythonDocs", "TextFiles"]

IGNORE = -100
"""Target of positions that are not evaluated, the default of torch's cross-entropy."""


class Windows:
    """Windows of a corpus, read on access.

    Args:
        corpus: The tokens, an array of any integer type that may be memory-mapped.
        context: The number of tokens per window.
        stride: The distance between the starts of consecutive windows.
        score_new: If True, evaluate each token only in the first window that contains it, so that
            each is evaluated once although windows overlap.
    """

    def __init__(
        self, corpus: np.ndarray[Any, Any], context: int, stride: int, score_new: bool
    ) -> None:
        self.corpus, self.context = corpus, context
        last = len(corpus) - context - 1
        starts = list(range(0, last + 1, stride))
        if starts and starts[-1] != last:
            starts.append(last)  # covers the end of the corpus
        self.starts = torch.tensor(starts)
        seen = torch.tensor([0, *(s + context for s in starts[:-1])])
        self.first_new = (seen - self.starts).clamp(min=0) if score_new else 0 * seen

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens and next tokens, int64 [B, T]."""
        t = self.context
        parts = [self.corpus[s : s + t + 1] for s in self.starts[index].tolist()]
        both = torch.from_numpy(np.stack(parts).astype(np.int64))
        tokens, following = both[:, :-1], both[:, 1:]
        old = torch.arange(t) < self.first_new[index][:, None]
        return tokens, following.masked_fill(old, IGNORE)


class Language(DataModule):
    """Base class for language modelling. The end of the text is held out."""

    context: int
    level: Literal["bytes", "characters"]

    @abstractmethod
    def files(self) -> list[Path]:
        """Return the files of the corpus in order."""

    def load(self) -> Splits:
        """Encode or map the corpus, and split it in order: training, validation, test."""
        if self.context < 2:
            raise UserError(f"data.context is {self.context}; write 2 or more.", key="data.context")
        files = self.files()
        tokenizer: Tokenizer = Bytes() if self.level == "bytes" else Characters.of(files)
        corpus = tokenizer.corpus(files)
        self.fitted = {"alphabet": getattr(tokenizer, "alphabet", None), "context": self.context}
        count = len(corpus)
        test, val = (round(count * f) for f in (self.test_fraction, self.val_fraction))
        parts = {
            "train": corpus[: count - val - test],
            "val": corpus[count - val - test : count - test],
            "test": corpus[count - test :],
        }
        for name, part in parts.items():
            if len(part) <= self.context and (name == "train" or len(part)):
                raise UserError(
                    f"The {name} split has {len(part)} tokens; data.context {self.context} needs "
                    f"at least {self.context + 1}.\nUse more text, a shorter context, or set "
                    f"data.{name if name != 'train' else 'val'}_fraction to 0.",
                    key=("data.context", "data.path"),
                )
        half = max(1, self.context // 2)
        return {
            name: Windows(part, self.context, half, score_new=name != "train")
            for name, part in parts.items()
        }

    def sizes(self) -> dict[str, Any]:
        """Return ``vocab_size`` of the net, and ``alphabet`` and ``context`` of the task."""
        alphabet = self.fitted["alphabet"]
        return {
            "vocab_size": 256 if alphabet is None else len(alphabet) + 1,
            "alphabet": alphabet,
            "context": self.fitted["context"],
        }

    def example(self, count: int) -> tuple[Input, ...]:
        """Return synthetic tokens [B, T]."""
        steps = min(count + 4, self.fitted["context"])
        tokens = some_codes(self.sizes()["vocab_size"], count, steps)
        return (Input("tokens", tokens, {0: "batch", 1: "steps"}),)


class TextFiles(Language):
    """Your own text files. They are memory-mapped and may be larger than memory.

    Args:
        path: a file, a folder (its .txt, .md and .rst files), or a pattern such as 'books/*.txt'.
        context: tokens that the model sees at once.
        level: tokens are bytes, or characters that occur in the files.
    """

    def __init__(
        self,
        path: str,
        context: int = 256,
        level: Literal["bytes", "characters"] = "bytes",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.context, self.level = path, context, level

    def files(self) -> list[Path]:
        """Return the files that ``path`` matches."""
        return find_files(self.path, "data.path")


class PythonDocs(Language):
    """The topics of Python's documentation that ``help()`` shows, about 0.7 MB of text.

    Args:
        context: tokens that the model sees at once.
        level: tokens are bytes or characters.
    """

    def __init__(
        self, context: int = 256, level: Literal["bytes", "characters"] = "bytes", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.context, self.level = context, level
        self._folder = Path(tempfile.mkdtemp(prefix="gdlightning-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def files(self) -> list[Path]:
        """Write the topics to a file in alphabetical order, and return the file."""
        from pydoc_data.topics import topics

        path = self._folder / "topics.txt"
        path.write_text("\n".join(topics[k] for k in sorted(topics)), encoding="utf-8")
        return [path]
