"""Classes are discovered in files, or found by their path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdlightning.discovery import Catalogue, hyphenated, import_path, modules
from gdlightning.errors import UserError

BASE = "class Base:\n    pass\n"
SHAPES = """from shop.base import Base

__all__ = ["RedBall", "UFO", "helper"]
NAMES = {"UFO": "flying-saucer"}


class RedBall(Base):
    pass


class UFO(Base):
    pass


class Hidden(Base):
    pass


class Other:
    pass


def helper():
    pass
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalogue]:
    """A package of classes."""
    package = tmp_path / "shop"
    (package / "goods").mkdir(parents=True)
    files = {
        "__init__": "",
        "base": BASE,
        "goods/__init__": "",
        "goods/shapes": SHAPES,
        "goods/_private": "raise RuntimeError\n",
        "goods/more": "from shop.goods.shapes import RedBall\n",
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield Catalogue("shop.goods", "good", base="shop.base:Base")
    for name in [m for m in sys.modules if m == "shop" or m.startswith("shop.")]:
        del sys.modules[name]


def test_public_classes_of_the_base_and_no_others(shop: Catalogue) -> None:
    assert shop.names() == ["flying-saucer", "red-ball"]
    assert modules("shop.goods") == ["more", "shapes"]


@pytest.mark.parametrize(
    "name",
    ["red-ball", "RedBall", "RED_BALL", "shop.goods.shapes.RedBall", "shop.goods.shapes:RedBall"],
)
def test_found_in_any_spelling_and_by_path(name: str, shop: Catalogue) -> None:
    assert shop.find(name).__name__ == "RedBall"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("red-bal", "There is no good named red-bal. Did you mean red-ball?"),
        ("shop.goods.shapes.Other", "is not a subclass of shop.base.Base"),
        ("shop.goods.shapes.helper", "is not a subclass of shop.base.Base"),
        ("shop.goods.shapes.RedBal", "has no RedBal. Did you mean RedBall?"),
        ("nowhere.Thing", "the module nowhere can't be imported"),
    ],
)
def test_what_is_not_there_is_told(name: str, told: str, shop: Catalogue) -> None:
    with pytest.raises(UserError) as error:
        shop.find(name)
    assert told in str(error.value)


def test_paths_of_modules_that_fail() -> None:
    assert import_path("os.path.join", "thing") is __import__("os").path.join
    with pytest.raises(UserError, match=r"thing json\.nothing: json has no nothing"):
        import_path("json.nothing", "thing")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ImageClassification", "image-classification"),
        ("MLP", "mlp"),
        ("BagOfWords", "bag-of-words"),
        ("ResidualMLP", "residual-mlp"),
        ("HTMLPage2", "html-page2"),
        ("TsFile", "ts-file"),
    ],
)
def test_class_names_as_people_write_them(name: str, written: str) -> None:
    assert hyphenated(name) == written
