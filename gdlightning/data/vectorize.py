"""Text as bags of words: word numbers with weights, hashed or counted."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

WORD = re.compile(r"\w\w+")

Bag = tuple[list[int], list[float]]
"""Word numbers, and the weight of each; the weights of a text have Euclidean norm 1."""


def words(text: str, ngrams: int) -> list[str]:
    """Lower-case words of two letters or more, and their n-grams joined by a space."""
    single = WORD.findall(text.lower())
    found = list(single)
    for n in range(2, ngrams + 1):
        found += [" ".join(single[k : k + n]) for k in range(len(single) - n + 1)]
    return found


def fit(texts: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """What ``bag`` needs, as plain values: options, vocabulary or buckets, document frequencies.

    Args:
        texts: of the training split.
        options: ``vocabulary`` (counted or hashed), ``features`` (most words or buckets),
            ``min_count`` (texts that a counted word is in at least), ``ngrams``.
    """
    frequency: Counter[str] = Counter()
    for text in texts:
        frequency.update(set(words(text, options["ngrams"])))
    count = len(texts)
    if options["vocabulary"] == "counted":
        # Ties by the word itself: the order of a set differs from process to process.
        ranked = sorted(frequency.items(), key=lambda item: (-item[1], item[0]))
        kept = [w for w, n in ranked[: options["features"]] if n >= options["min_count"]]
        idf = [1 + math.log((1 + count) / (1 + frequency[w])) for w in kept]
        return options | {"words": kept, "idf": idf, "size": max(1, len(kept))}
    buckets: Counter[int] = Counter()
    for word, n in frequency.items():
        buckets[_bucket(word, options["features"])] += n
    idf = [1 + math.log((1 + count) / (1 + min(count, buckets[k])))
           for k in range(options["features"])]  # fmt: skip
    return options | {"words": [], "idf": idf, "size": options["features"]}


class Vectorizer:
    """Bags of texts by what ``fit`` found: tf-idf weights as scikit-learn's TfidfVectorizer has.

    Args:
        fitted: the result of ``fit``.
    """

    def __init__(self, fitted: dict[str, Any]) -> None:
        self.fitted = fitted
        self.number = {w: k for k, w in enumerate(fitted["words"])}

    def bag(self, text: str) -> Bag:
        """The known words of a text with their weights; empty if there are none."""
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
