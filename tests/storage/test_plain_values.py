"""Values of standard types come back from a file as what they were; nothing else is stored."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import io
import os
import threading
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gdlightning.storage.plain_values import TYPE, UnsupportedValueError, decode, encode


class Colour(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    names: list[str]


@dataclasses.dataclass(slots=True)
class Slotted:
    x: Any


Pair = namedtuple("Pair", "first second")


def through_a_file(value: Any) -> Any:
    stream = io.BytesIO()
    torch.save(encode(value), stream)
    stream.seek(0)
    return decode(torch.load(stream, weights_only=True))


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        told = [(a.dtype, a.shape, a.tobytes()) for a in (one, other)]
        return told[0] == told[1]
    if isinstance(one, Slotted):
        return same(one.x, other.x)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


VALUES = [
    np.float64(1.5),
    np.int8(3),
    np.bool_(True),
    np.str_("a"),
    np.datetime64("2020-01-01"),
    np.array(5.0),
    np.array(["a", "bc"]),
    Path("/a/b"),
    PureWindowsPath("c:\\x"),
    Colour.RED,
    Level.LOW,
    Point(1, ["a"]),
    Slotted(np.float32(2)),
    Pair(1, np.int8(2)),
    datetime.datetime(2020, 1, 1, 3, tzinfo=datetime.UTC),
    datetime.datetime(2020, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    datetime.date(2020, 1, 2),
    datetime.time(3, 4, 5, 6),
    datetime.timedelta(1, 2, 3),
    datetime.timezone(datetime.timedelta(hours=2)),
    Counter("aab"),
    defaultdict(list, {1: [2]}),
    defaultdict(None, {1: 2}),
    {1, 2},
    frozenset({(1, 2)}),
    deque([1, 2], 3),
    deque([1]),
    1 + 2j,
    b"x",
    b"",
    bytearray(b"y"),
    bytearray(),
    np.zeros((0, 2)),
    Decimal("1.20"),
    Fraction(1, 3),
    UUID(int=5),
    range(1, 9, 2),
    slice(1, None, 2),
    {(1, 2): 3, Colour.RED: 4},
    {np.int64(1): 2},
    {TYPE: "set"},
    10**50,
    OrderedDict(a=np.float64(1)),
    torch.float32,
    torch.device("cpu"),
    torch.Size([1, 2]),
    torch.ones(2),
    torch.nn.Parameter(torch.ones(2)),
    [(1, {"b": np.float32(1)})],
    float("nan"),
    float("-inf"),
    None,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}-{value!s:.20}")
def test_it_comes_back(value: Any) -> None:
    back = through_a_file({"deep": [value]})["deep"][0]
    assert same(back, value), back
    if isinstance(value, Path):
        assert isinstance(back, PurePosixPath)


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.complex_numbers(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.sampled_from([Colour.RED, Level.LOW]),
    arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(max_side=3)),
)
KEYS = st.one_of(st.integers(), st.text(), st.tuples(st.integers(), st.text()), st.dates())
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner),
        st.builds(deque, st.lists(inner)),
        st.builds(Slotted, inner),
    ),
    max_leaves=12,
)


@given(NESTED)
def test_any_nesting_comes_back(value: Any) -> None:
    assert same(through_a_file(value), value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.nn.ReLU, "['act'][1] is the class ReLU"),
        (torch.nn.functional.mse_loss, "['act'][1] is the function mse_loss"),
        (lambda: 1, "<lambda>"),
        (threading.Lock(), "['act'][1] is an object of type _thread.lock"),
        (torch.nn.ReLU(), "torch.nn.modules.activation.ReLU"),
        (np.array([object()]), "numpy.ndarray"),
        (defaultdict(lambda: 1), "<lambda>"),
        (Slotted(object()), "['x'] is an object of type builtins.object"),
    ],
)
def test_what_cannot_be_stored_is_named(value: Any, words: str) -> None:
    with pytest.raises(UnsupportedValueError) as error:
        encode({"act": [0, value]}, ("hyper_parameters",))
    assert str(error.value).startswith("hyper_parameters['act'][1]")
    assert words in str(error.value)


def test_a_value_that_holds_itself_is_not_stored() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnsupportedValueError):
        encode(loop)


@pytest.mark.parametrize(
    "plain",
    [
        {TYPE: "enum", "cls": "os:system", "member": "x"},
        {TYPE: "dataclass", "cls": "subprocess:Popen", "fields": {"args": "touch ran"}},
        {TYPE: "dataclass", "cls": "not_imported_at_all:Thing", "fields": {"x": 1}},
        {TYPE: "namedtuple", "cls": "os:stat_result", "values": [1]},
        {TYPE: "numpy", "dtype": "O", "shape": [1], "data": b"x" * 8, "scalar": False},
        {TYPE: "defaultdict", "factory": "eval", "items": {}},
        {TYPE: "nothing", "x": 1},
        {TYPE: ["set"]},
    ],
)
def test_a_hostile_plain_form_runs_no_code(plain: dict[str, Any], tmp_path: Path) -> None:
    os.chdir(tmp_path)
    decode({"deep": plain})
    assert not (tmp_path / "ran").exists()


def test_the_versions_of_a_state_dict_are_kept() -> None:
    state = torch.nn.BatchNorm1d(2).state_dict()
    back = through_a_file(state)
    assert back._metadata == state._metadata  # type: ignore[attr-defined]
