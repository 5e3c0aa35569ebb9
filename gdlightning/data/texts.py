"""Text classification; batches are ``((words, offsets, weights), classes)``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from gdlightning.data import vectorize
from gdlightning.data.data_module import DataModule, Splits
from gdlightning.data.docstring_corpus import docstrings
from gdlightning.data.example_input import Input, some_codes, some_numbers
from gdlightning.data.loader import Rows, Subset, split
from gdlightning.data.tables import class_labels, column, read_table, text_of
from gdlightning.errors import UserError, did_you_mean, require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Docstrings", "TextFolder", "TextTable"]


class Bags:
    """Concatenated bags of words, in the format of torch's EmbeddingBag.

    Args:
        bags: The word indices and weights of each text.
        classes: The class of each text, int64 of shape [N], or None if unknown.
        labels: The name of each text, for predictions.
    """

    def __init__(
        self,
        bags: Sequence[vectorize.Bag],
        classes: Tensor | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.classes, self.labels = classes, labels
        self.lengths = torch.tensor([len(numbers) for numbers, _ in bags])
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.words = torch.tensor([k for numbers, _ in bags for k in numbers], dtype=torch.int64)
        self.weights = torch.tensor([w for _, weights in bags for w in weights])

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, index: Tensor) -> Any:
        """Return words [W], offsets [B], weights [W] and, if known, classes [B]."""
        lengths = self.lengths[index]
        offsets = lengths.cumsum(0) - lengths
        within = torch.arange(int(lengths.sum())) - offsets.repeat_interleave(lengths)
        where = self.starts[index].repeat_interleave(lengths) + within
        inputs = (self.words[where], offsets, self.weights[where])
        return (inputs,) if self.classes is None else (inputs, self.classes[index])


class Texts(DataModule):
    """Base class for text classification.

    Args:
        vocabulary: counted uses the most frequent words of the training split; hashed maps every
            word to a hash bucket, so that no word is unknown.
        features: maximum size of the vocabulary, or number of hash buckets.
        min_count: minimum number of training texts that contain a counted word.
        ngrams: maximum length of word n-grams.
    """

    def __init__(
        self,
        vocabulary: Literal["counted", "hashed"] = "counted",
        features: int = 50000,
        min_count: int = 1,
        ngrams: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for key, value in {"features": features, "min_count": min_count, "ngrams": ngrams}.items():
            if value < 1:
                raise UserError(f"data.{key} is {value}; write 1 or more.", key=f"data.{key}")
        self.options = {
            "vocabulary": vocabulary,
            "features": features,
            "min_count": min_count,
            "ngrams": ngrams,
        }

    @abstractmethod
    def texts(self) -> tuple[list[str], list[str], list[int]]:
        """Return all texts, the class names, and the class index of each text."""

    def load(self) -> Splits:
        """Split the texts stratified by class, and fit the vocabulary on the training split."""
        texts, classes, numbers = self.texts()
        y = torch.tensor(numbers)
        parts = split(len(texts), self.fractions, self.seed, y)
        self.fitted = vectorize.fit([texts[k] for k in parts[0].tolist()], self.options)
        self.fitted["classes"] = classes
        vectorizer = vectorize.Vectorizer(self.fitted)
        bags = Bags([vectorizer.bag(t) for t in texts], y)
        return {n: Subset(bags, p) for n, p in zip(("train", "val", "test"), parts, strict=True)}

    def sizes(self) -> dict[str, Any]:
        """Return the features and outputs of the net, and the class names."""
        classes = self.fitted["classes"]
        return {"features": self.fitted["size"], "outputs": len(classes), "classes": classes}

    def example(self, count: int) -> tuple[Input, ...]:
        """Return synthetic words [2B], offsets [B] and weights [2B]."""
        words = some_codes(self.fitted["size"], 2 * count)
        return (
            Input("words", words, {0: "words"}),
            Input("offsets", torch.arange(0, 2 * count, 2), {0: "batch"}),
            Input("weights", some_numbers(2 * count), {0: "words"}),
        )

    def new(self, texts: list[str], labels: list[str] | None = None) -> Rows:
        """Vectorize texts for prediction."""
        vectorizer = vectorize.Vectorizer(self.fitted)
        return Bags([vectorizer.bag(t) for t in texts], labels=labels)

    def read(self, source: Path) -> Rows:
        """Read a text file with a text per line, or a folder of .txt files with a text each."""
        if source.is_dir():
            files = sorted(source.rglob("*.txt"))
            if not files:
                raise UserError(f"--input: {source} contains no .txt files.")
            return self.new([_read(f) for f in files], [str(f) for f in files])
        if not source.is_file():
            raise UserError(f"--input: there is no file or folder {source}.")
        return self.new([line for line in _read(source).splitlines() if line.strip()])


class TextTable(Texts):
    """Your own table with a text column.

    Args:
        path: a .csv, .tsv, .parquet or .jsonl file.
        target: the column with the class.
        text: the column with the text.
    """

    def __init__(self, path: str, target: str, text: str = "text", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path, self.target, self.text = path, target, text

    def texts(self) -> tuple[list[str], list[str], list[int]]:
        """Read the rows of the file. A missing text is an empty string."""
        frame = read_table(self.path)
        texts = _strings(column(frame, self.text, "data.text", self.path))
        target = column(frame, self.target, "data.target", self.path)
        classes, numbers = class_labels(target, "data.target", self.path)
        return texts, classes, numbers

    def read(self, source: Path) -> Rows:
        """Read a table with the text column, a .txt file or a folder of .txt files."""
        if source.is_dir() or source.suffix == ".txt":
            return super().read(source)
        texts = column(read_table(source, "--input"), self.text, "data.text", source)
        return self.new(_strings(texts))


class TextFolder(Texts):
    """Your own texts in a folder with a subfolder of .txt files per class.

    Args:
        path: the folder; its subfolders are named after the classes.
    """

    def __init__(self, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def texts(self) -> tuple[list[str], list[str], list[int]]:
        """Read one text per file."""
        root = Path(self.path)
        if not root.is_dir():
            near = [str(p) for p in root.parent.glob("*/")] if root.parent.is_dir() else []
            raise UserError(
                f"data.path: there is no folder {self.path}.{did_you_mean(self.path, near)}",
                key="data.path",
            )
        files = [(p.name, sorted(p.rglob("*.txt"))) for p in sorted(root.iterdir()) if p.is_dir()]
        files = [(name, found) for name, found in files if found]
        if len(files) < 2:
            raise UserError(
                f"data.path: {self.path} contains {len(files)} folders with .txt files; two or "
                "more are needed, one per class.",
                key="data.path",
            )
        texts = [_read(f) for _, found in files for f in found]
        numbers = [k for k, (_, found) in enumerate(files) for _ in found]
        return texts, [name for name, _ in files], numbers


class Docstrings(Texts):
    """Docstrings, classified by library: Python, NumPy, torch, Lightning or torchmetrics.

    The docstrings of the installed versions are used, without the names of the libraries.

    Args:
        limit: maximum number of texts per library.
    """

    def __init__(self, limit: int = 800, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.limit = limit

    def texts(self) -> tuple[list[str], list[str], list[int]]:
        """Collect up to ``limit`` docstrings of each library."""
        require("numpy", "data", "The data set of docstrings")
        texts, labels = docstrings(self.limit)
        classes = sorted(set(labels))
        return texts, classes, [classes.index(label) for label in labels]


def _strings(values: pd.Series) -> list[str]:
    return ["" if m else text_of(v) for v, m in zip(values, values.isna(), strict=True)]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
