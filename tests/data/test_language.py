"""Running text in windows: memory-mapped, every held-out position scored exactly once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdlightning.data import tokens
from gdlightning.data.language import IGNORE, PythonDocs, TextFiles, Windows
from gdlightning.data.tokens import Bytes, Characters, find_files
from gdlightning.errors import UserError

NUMBERS = np.arange(500, dtype=np.uint16)


@given(count=st.integers(3, 200), context=st.integers(2, 40), stride=st.integers(1, 40))
def test_every_held_out_position_is_scored_exactly_once(
    count: int, context: int, stride: int
) -> None:
    stride = min(stride, context)
    rows = Windows(NUMBERS[:count], context, stride, score_new=True)
    if count <= context:
        assert len(rows) == 0
        return
    inputs, targets = rows.take(torch.arange(len(rows)))
    scored = targets[targets != IGNORE]
    assert scored.tolist() == list(range(1, count))  # the first has nothing before it
    assert torch.equal(inputs[targets != IGNORE] + 1, scored)
    assert inputs.shape == targets.shape == (len(rows), context)


@given(count=st.integers(3, 200), context=st.integers(2, 40))
def test_training_sees_every_position(count: int, context: int) -> None:
    rows = Windows(NUMBERS[:count], context, max(1, context // 2), score_new=False)
    if count <= context:
        return
    _, targets = rows.take(torch.arange(len(rows)))
    assert set(targets.flatten().tolist()) == set(range(1, count))


def test_splits_are_cut_in_the_order_of_the_text(tmp_path: Path) -> None:
    text = "".join(chr(33 + k % 90) for k in range(1000))
    (tmp_path / "book.txt").write_text(text)
    data = TextFiles(str(tmp_path / "book.txt"), context=16, val_fraction=0.1, test_fraction=0.2)
    data.setup()
    found = {}
    for part, rows in data.rows.items():
        inputs, targets = rows.take(torch.arange(len(rows)))
        found[part] = bytes(inputs[0].tolist()).decode(), bytes(targets[-1, -3:].tolist()).decode()
    assert found["train"] == (text[:16], text[697:700])
    assert found["val"] == (text[700:716], text[797:800])
    assert found["test"] == (text[800:816], text[997:])
    assert isinstance(data.rows["train"].corpus, np.memmap)  # type: ignore[attr-defined]
    assert data.sizes() == {"vocab_size": 256, "alphabet": None, "context": 16}


@pytest.mark.parametrize("level", ["bytes", "characters"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_corpus_larger_than_a_chunk(
    level: Any, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "CHUNK_SIZE", 7)
    text = "Grüße, 世界!\r\nZeile zwei\n" * 20
    for k in range(count):
        (tmp_path / f"{k}.txt").write_text(text, encoding="utf-8", newline="")
    data = TextFiles(str(tmp_path), context=8, level=level, val_fraction=0, test_fraction=0)
    data.setup()
    corpus = data.rows["train"].corpus  # type: ignore[attr-defined]
    assert isinstance(corpus, np.memmap)
    tokenizer = Bytes() if level == "bytes" else Characters(data.fitted["alphabet"])
    assert tokenizer.decode(corpus.tolist()) == text * count
    assert data.sizes()["vocab_size"] == tokenizer.size
    lengths = tokenizer.byte_lengths()
    assert int(lengths[torch.from_numpy(corpus.astype(np.int64))].sum()) == len(
        (text * count).encode()
    )


@given(text=st.text(max_size=30))
def test_tokens_and_back(text: str) -> None:
    own = Characters("".join(sorted(set(text))))
    assert own.decode(own.encode(text)) == text
    known = text.encode("utf-8", errors="ignore").decode()
    assert Bytes().decode(Bytes().encode(known)) == known


def test_unknown_characters_are_0() -> None:
    own = Characters("ab")
    assert own.encode("abc") == [1, 2, 0]
    assert own.decode([1, 0]) == "a\ufffd"
    assert own.size == 3
    assert Characters("aé世").byte_lengths().tolist() == [1, 1, 2, 3]


def test_files_by_folder_and_pattern(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.txt", "a.md", "deep/c.rst", "deep/d.py"):
        (tmp_path / name).write_text(name)
    names = [p.name for p in find_files(str(tmp_path), "data.path")]
    assert names == ["a.md", "b.txt", "c.rst"]
    names = [p.name for p in find_files(str(tmp_path / "**" / "*.*"), "data.path")]
    assert sorted(names) == ["a.md", "b.txt", "c.rst", "d.py"]
    assert find_files(str(tmp_path / "deep" / "d.py"), "x") == [tmp_path / "deep" / "d.py"]
    with pytest.raises(UserError, match="is not a file, a folder"):
        find_files(str(tmp_path / "e*"), "data.path")


@pytest.mark.parametrize("level", ["bytes", "characters"])
@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("", {}, "The train split has 0 tokens"),
        ("abc", {}, "The train split has"),
        ("abc" * 40, {"val_fraction": 0.05}, "The val split has 6 tokens"),
        ("abc" * 40, {"context": 1}, r"data\.context is 1"),
    ],
)
def test_texts_that_cant_be_used(
    text: str, options: dict[str, Any], told: str, level: Any, tmp_path: Path
) -> None:
    (tmp_path / "book.txt").write_text(text)
    with pytest.raises(UserError, match=told):
        TextFiles(str(tmp_path / "book.txt"), level=level, **({"context": 16} | options)).setup()


def test_python_docs_are_real_text() -> None:
    data = PythonDocs(context=32)
    data.setup()
    inputs, _ = data.rows["train"].take(torch.arange(4))
    assert inputs.shape == (4, 32)
    assert len(data.rows["train"].corpus) > 300_000  # type: ignore[attr-defined]
