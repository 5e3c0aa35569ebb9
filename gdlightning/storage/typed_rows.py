"""Validate values read from JSON against declared types."""

from __future__ import annotations

import math
import types
import typing
from typing import Any, Literal, Union

INT_LIMIT = 2**63
"""Upper bound of an ``int``, so that it fits in 64 bits."""
TYPE_NAMES: dict[Any, str] = {
    float: "a number",
    int: "an integer",
    str: "a string",
    bool: "true or false",
    type(None): "null",
    dict: "a mapping",
    list: "a list",
}


def mismatch(value: Any, kind: Any, name: str = "it") -> str:
    """Check whether a value has a type.

    Args:
        value: A value that ``json.loads`` returned.
        kind: ``Any``, a plain type, ``Literal``, a union, ``list[T]``, ``dict[str, T]`` or a
            ``TypedDict``; a value of a ``TypedDict`` may have other keys. An ``int`` is accepted as
            a ``float``; a ``bool`` is accepted as neither.
        name: The name of the value in the message.

    Returns:
        A message that describes the mismatch, or an empty string.
    """
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return ""
    if typing.is_typeddict(kind):
        return _fields(value, kind, name)
    if origin in (Union, types.UnionType):
        found = [mismatch(value, part, name) for part in args]
        return "" if "" in found else found[0]
    if origin is Literal:
        return "" if value in args else f"{name} is not one of {', '.join(map(str, args))}"
    base = origin or kind
    if not _is(value, base):
        return f"{name} is not {TYPE_NAMES[base]}"
    if origin is list:
        inside = ((f"{name}[{k}]", item, args[0]) for k, item in enumerate(value))
    elif origin is dict:
        inside = ((f"{name}.{key}", item, args[1]) for key, item in value.items())
    else:
        return ""
    return next((wrong for n, v, k in inside if (wrong := mismatch(v, k, n))), "")


def _fields(value: Any, kind: Any, name: str) -> str:
    if not isinstance(value, dict):
        return f"{name} is not a mapping"
    for key, own in typing.get_type_hints(kind).items():
        if key in value:
            if wrong := mismatch(value[key], own, f"{name}.{key}"):
                return wrong
        elif key in kind.__required_keys__:
            return f"{name} has no {key}"
    return ""


def _is(value: Any, kind: type) -> bool:
    if kind is float and type(value) is int:
        return _finite(value)
    if kind is int:
        return type(value) is int and -INT_LIMIT <= value < INT_LIMIT
    return type(value) is kind


def _finite(value: int) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
