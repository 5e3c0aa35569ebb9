"""HTML pages are complete and self-contained."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from gdlightning.drawing import style
from gdlightning.drawing.page import page, picture, table


class Reader(HTMLParser):
    """Parser that collects the resources a browser would load, and unclosed tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.loaded += [v for k, v in attrs if k in ("src", "srcset", "href") and v]
        if tag not in ("meta", "img", "source", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_complete_and_self_contained() -> None:
    def draw(theme: style.Theme) -> Any:
        made, (panel,) = style.figure(theme=theme)
        panel.plot([0, 1], [1, 0])
        return made

    text = page("A & B", table(["name", "lr"], [["<x>", 0.123456]]), picture(draw, "falling"))
    read = Reader(text)
    assert read.open == []
    assert len(read.loaded) == 2
    assert all(v.startswith("data:image/png;base64,") for v in read.loaded)
    assert read.loaded[0] != read.loaded[1]  # light and dark differ
    assert "A &amp; B" in text
    assert "&lt;x&gt;" in text
    assert '<td class="number">0.1235</td>' in text


def test_unsupported_format_is_an_error(tmp_path: Any) -> None:
    from gdlightning.errors import UserError

    made, _ = style.figure()
    with pytest.raises(UserError, match="The file of a figure must end in"):
        style.save(made, tmp_path / "a.jpeg")
    assert list(tmp_path.iterdir()) == []
