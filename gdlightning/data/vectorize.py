"""Convert text to bags of words with tf-idf weights, with a counted or hashed vocabulary."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

WORD = re.compile(r"\w\w+")

Bag = tuple[list[int], list[float]]
"""Word indices and weights of a text. The weights have Euclidean norm 1."""


def words(text: str, ngrams: int) -> list[str]:
    """Return the lowercase words of two or more letters, and their n-grams joined by spaces."""
    single = WORD.findall(text.lower())
    found = list(single)
    for n in range(2, ngrams + 1):
        found += [" ".join(single[k : k + n]) for k in range(len(single) - n + 1)]
    return found


def fit(texts: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """Fit the vocabulary and the document frequencies.

    Args:
        texts: The texts of the training split.
        options: ``vocabulary`` (counted or hashed), ``features`` (maximum number of words, or
            number of buckets), ``min_count`` (minimum number of texts per word) and ``ngrams``.

    Returns:
        The parameters of ``Vectorizer``, as plain values.
    """
    frequency: Counter[str] = Counter()
    for text in texts:
        frequency.update(set(words(text, options["ngrams"])))
    count = len(texts)
    if options["vocabulary"] == "counted":
        # Ties are broken by the word, because the order of a set differs between processes.
        ranked = sorted(frequency.items(), key=lambda item: (-item[1], item[0]))
        kept = [w for w, n in ranked[: options["features"]] if n >= options["min_count"]]
        idf = [1 + math.log((1 + count) / (1 + frequency[w])) for w in kept]
        return options | {"words": kept, "idf": idf, "size": max(1, len(kept))}
    buckets: Counter[int] = Counter()
    for word, n in frequency.items():
        buckets[_bucket(word, options["features"])] += n
    frequencies = (min(count, buckets[k]) for k in range(options["features"]))
    idf = [1 + math.log((1 + count) / (1 + n)) for n in frequencies]
    return options | {"words": [], "idf": idf, "size": options["features"]}


class Vectorizer:
    """Compute bags of words with the tf-idf weights of scikit-learn's TfidfVectorizer.

    Args:
        fitted: The result of ``fit``.
    """

    def __init__(self, fitted: dict[str, Any]) -> None:
        self.fitted = fitted
        self.number = {w: k for k, w in enumerate(fitted["words"])}

    def bag(self, text: str) -> Bag:
        """Return the known words of a text with their weights."""
        counts: Counter[int] = Counter()
        for word in words(text, self.fitted["ngrams"]):
            if self.fitted["vocabulary"] == "hashed":
                counts[_bucket(word, self.fitted["size"])] += 1
            elif word in self.number:
                counts[self.number[word]] += 1
        idf = self.fitted["idf"]
        weights = [n * idf[k] for k, n in counts.items()]
        norm = math.sqrt(sum(w * w for w in weights)) or 1.0
        return list(counts), [w / norm for w in weights]


def _bucket(word: str, buckets: int) -> int:
    return zlib.crc32(word.encode("utf-8")) % buckets  # the same in every process
