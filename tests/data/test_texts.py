"""Texts as bags of words, counted and hashed, as scikit-learn has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from gdlightning.data import vectorize
from gdlightning.data.texts import Bags, Docstrings, TextFolder, TextTable
from gdlightning.errors import UserError

OPTIONS = {"vocabulary": "counted", "features": 10_000, "min_count": 1, "ngrams": 1}
TEXT = st.lists(
    st.sampled_from(["the", "Cat", "cat", "a", "ate", "grün", "don't", "x", "42", "mouse,", "\n"]),
    max_size=12,
).map(" ".join)


def dense(texts: list[str], fitted: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Bags as a matrix."""
    vectorizer = vectorize.Vectorizer(fitted)
    found = np.zeros((len(texts), fitted["size"]))
    for k, text in enumerate(texts):
        numbers, weights = vectorizer.bag(text)
        found[k, numbers] = weights
    return found


@settings(max_examples=50)
@given(
    train=st.lists(TEXT, min_size=1, max_size=6),
    test=st.lists(TEXT, max_size=3),
    ngrams=st.integers(1, 3),
    min_count=st.integers(1, 2),
)
def test_counted_words_are_sklearns(
    train: list[str], test: list[str], ngrams: int, min_count: int
) -> None:
    theirs = TfidfVectorizer(ngram_range=(1, ngrams), min_df=min_count)
    try:
        theirs.fit(train)
    except ValueError:  # no word is left
        return
    fitted = vectorize.fit(train, OPTIONS | {"ngrams": ngrams, "min_count": min_count})
    assert set(fitted["words"]) == set(theirs.vocabulary_)
    order = [theirs.vocabulary_[w] for w in fitted["words"]]
    wanted = theirs.transform([*train, *test]).toarray()[:, order]
    np.testing.assert_allclose(dense([*train, *test], fitted), wanted, atol=1e-12)


@settings(max_examples=50)
@given(texts=st.lists(TEXT, min_size=1, max_size=6), ngrams=st.integers(1, 2))
def test_hashed_words_are_sklearns_where_no_two_collide(texts: list[str], ngrams: int) -> None:
    theirs = TfidfVectorizer(ngram_range=(1, ngrams))
    try:
        wanted = theirs.fit_transform(texts).toarray()
    except ValueError:
        return
    options = OPTIONS | {"vocabulary": "hashed", "features": 20_011, "ngrams": ngrams}
    found = vectorize.Vectorizer(vectorize.fit(texts, options))
    bags = [dict(zip(*found.bag(t), strict=True)) for t in texts]
    products = [[sum(w * b.get(k, 0) for k, w in a.items()) for b in bags] for a in bags]
    np.testing.assert_allclose(products, wanted @ wanted.T, atol=1e-12)


def test_the_most_frequent_words_are_kept() -> None:
    texts = ["apple pear", "apple fig", "apple pear plum"]
    fitted = vectorize.fit(texts, OPTIONS | {"features": 2})
    assert fitted["words"] == ["apple", "pear"]
    assert vectorize.Vectorizer(fitted).bag("plum fig") == ([], [])


def test_a_batch_holds_its_texts_one_after_the_other() -> None:
    bags = Bags([([1, 2], [0.6, 0.8]), ([], []), ([5], [1.0])], torch.tensor([0, 1, 2]))
    (words, offsets, weights), classes = bags.take(torch.tensor([2, 1, 0, 2]))
    assert words.tolist() == [5, 1, 2, 5]
    assert offsets.tolist() == [0, 1, 1, 3]
    assert weights.tolist() == pytest.approx([1, 0.6, 0.8, 1])
    assert classes.tolist() == [2, 1, 0, 2]
    (words, offsets, _), _ = bags.take(torch.tensor([1]))
    assert (words.tolist(), offsets.tolist()) == ([], [0])


def mood(path: Path) -> str:
    """A table in which one text is missing and one is a number."""
    texts: list[Any] = [f"good day{k}" if k % 2 else f"bad night{k}" for k in range(40)]
    texts[3], texts[4] = None, 77
    frame = pd.DataFrame({"text": texts, "mood": ["up" if k % 2 else "down" for k in range(40)]})
    frame.to_csv(path, index=False)
    return str(path)


@pytest.mark.parametrize("vocabulary", ["counted", "hashed"])
def test_tables(vocabulary: Any, tmp_path: Path) -> None:
    data = TextTable(mood(tmp_path / "t.csv"), "mood", vocabulary=vocabulary, features=512)
    data.setup()
    assert {k: len(v) for k, v in data.rows.items()} == {"train": 32, "val": 4, "test": 4}
    sizes = data.sizes()
    assert sizes["classes"] == ["down", "up"]
    assert sizes["features"] == (512 if vocabulary == "hashed" else len(data.fitted["words"]))
    fresh = TextTable("gone", "mood")
    fresh.load_state_dict(data.state_dict())
    (tmp_path / "n.txt").write_text("good day1\n\nbad moon\n")
    rows = fresh.read(tmp_path / "n.txt")
    assert len(rows) == 2
    ((words, offsets, _),) = rows.take(torch.arange(2))
    vectorizer = vectorize.Vectorizer(data.fitted)
    assert words.tolist() == vectorizer.bag("good day1")[0] + vectorizer.bag("bad moon")[0]
    assert offsets[0] == 0
    assert len(fresh.read(tmp_path / "t.csv")) == 40


def test_the_vocabulary_is_that_of_the_training_texts(tmp_path: Path) -> None:
    data = TextTable(mood(tmp_path / "t.csv"), "mood", val_fraction=0.25, test_fraction=0.25)
    data.setup()
    own = {w for w in data.fitted["words"] if w.startswith(("day", "night"))}
    held = {
        f"{'day' if k % 2 else 'night'}{k}"
        for part in ("val", "test")
        for k in data.rows[part].index.tolist()  # type: ignore[attr-defined]
    }
    assert own
    assert not own & held


def test_a_column_of_numbers_with_gaps_is_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": [101, None] * 10, "y": list("ab") * 10})
    frame.to_csv(tmp_path / "t.csv", index=False)
    texts, _, _ = TextTable(str(tmp_path / "t.csv"), "y").texts()
    assert texts == ["101", ""] * 10


def test_folders(tmp_path: Path) -> None:
    for name in ("ham", "spam"):
        (tmp_path / "mail" / name / "deep").mkdir(parents=True)
        for k in range(10):
            place = tmp_path / "mail" / name / ("deep" if k % 2 else ".")
            (place / f"{k}.txt").write_text(f"{name} words {k}", encoding="utf-8")
    (tmp_path / "mail" / "empty").mkdir()
    data = TextFolder(str(tmp_path / "mail"))
    data.setup()
    texts, classes, numbers = data.texts()
    assert classes == ["ham", "spam"]
    assert all(t.startswith(classes[n]) for t, n in zip(texts, numbers, strict=True))
    rows = data.read(tmp_path / "mail" / "spam")
    assert len(rows) == 10
    assert all("spam" in label for label in rows.labels)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"contains no \.txt files"):
        data.read(tmp_path / "mail" / "empty")
    with pytest.raises(UserError, match="no file or folder"):
        data.read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="1 folders with"):
        TextFolder(str(tmp_path)).setup()
    with pytest.raises(UserError, match=r"Did you mean .*mail"):
        TextFolder(str(tmp_path / "mails")).setup()


@pytest.mark.parametrize("key", ["features", "min_count", "ngrams"])
def test_options_that_cant_be_meant(key: str) -> None:
    options: dict[str, Any] = {key: 0}
    with pytest.raises(UserError, match=rf"data\.{key} is 0"):
        Docstrings(**options)


def test_docstrings_are_real_and_name_no_library() -> None:
    texts, classes, numbers = Docstrings(limit=20).texts()
    assert classes == ["lightning", "numpy", "python", "torch", "torchmetrics"]
    assert np.bincount(numbers).tolist() == [20] * 5
    assert not any("numpy" in t.lower().split() or "torch" in t.lower().split() for t in texts)
