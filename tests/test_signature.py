"""Options are read from signatures and docstrings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from torch import Tensor, nn

from gdlightning.signature import Option, options_of, plain_type, type_name


class Base:
    """A base.

    Args:
        size: how large.
        seed: of the draws.
    """

    def __init__(self, size: int = 3, seed: int = 0) -> None:
        pass


class Derived(Base):
    """Passes the rest on.

    Args:
        path: where it is,
            on two lines.
        size: its own idea of size.
        net: what a config can't hold.
    """

    def __init__(
        self,
        path: str,
        size: float = 2,
        net: nn.Module | None = None,
        hook: Callable[[], None] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)


class Closed(Base):
    """Takes nothing of its base."""

    def __init__(self, only: bool = True) -> None:
        super().__init__()


def test_options_of_a_class_and_of_its_base_where_the_rest_is_passed_on() -> None:
    found = options_of(Derived)
    assert list(found) == ["path", "size", "seed"]
    assert found["path"].required
    assert found["path"].help == "where it is, on two lines."
    assert found["size"] == Option("size", float, 2.0, "its own idea of size.")
    assert type(found["size"].default) is float
    assert found["seed"].help == "of the draws."
    assert list(options_of(Closed)) == ["only"]
    assert list(options_of(Derived, skip=["size"])) == ["path", "seed"]


def test_a_required_argument_that_a_config_cant_hold_is_still_an_option() -> None:
    def function(net: nn.Module, untyped, lr=0.1, betas=(0.9, 0.99)) -> None:  # type: ignore[no-untyped-def]
        """Without types."""

    found = options_of(function)
    assert found["net"].required
    assert found["net"].type is Any
    assert found["untyped"].required
    assert found["lr"].type is float


def test_fresh_defaults_of_a_dataclass() -> None:
    @dataclass
    class Rules:
        names: list[str] = field(default_factory=lambda: ["a"])

    found = options_of(Rules)
    assert found["names"].default == ["a"]


@pytest.mark.parametrize(
    ("kind", "plain", "written"),
    [
        (int, int, "int"),
        (int | None, int | None, "int | null"),
        (Literal["a", "b"], Literal["a", "b"], "a | b"),
        (int | Literal["full"], int | Literal["full"], "int | full"),
        (list[int], list[int], "list[int]"),
        (Sequence[float], list[float], "list[float]"),
        (Mapping[str, Any], dict[str, Any], None),
        (tuple[float, float], tuple[float, float], "tuple[float, float]"),
        (tuple[int, ...], tuple[int, ...], "tuple[int, ...]"),
        (float | Tensor, float, "float"),
        (Tensor | None, None, None),
        (nn.Module, None, None),
        (list[Tensor], None, None),
        (Callable[[], None], None, None),
    ],
)
def test_types_that_a_config_can_hold(kind: Any, plain: Any, written: str | None) -> None:
    assert plain_type(kind) == plain
    if written is not None:
        assert type_name(plain) == written


@pytest.mark.parametrize(
    ("default", "kind"), [(1, int), (0.5, float), ("x", str), (True, bool), (None, None)]
)
def test_without_annotation_the_default_tells(default: Any, kind: Any) -> None:
    assert plain_type(None, default) is kind
