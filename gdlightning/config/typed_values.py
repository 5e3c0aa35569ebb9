"""Check the types of settings with jsonargparse, with errors that name key, value and origin."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any

from gdlightning.config.settings import NAMED, Setting, at, placed, put
from gdlightning.config.value_checks import check_length, check_numbers
from gdlightning.errors import UserError
from gdlightning.signature import Option, type_name


def parse(merged: Mapping[str, Setting], known: Mapping[str, Option]) -> dict[str, Any]:
    """Convert the settings to the types of their options.

    Args:
        merged: dotted key → setting.
        known: dotted key → option.

    Returns:
        Nested values of all options, defaults included.

    Raises:
        UserError: if a setting has another type. The message names its key, value and origin.
    """
    from argparse import ArgumentError

    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    for key, option in known.items():
        default = None if option.required else option.default
        parser.add_argument(f"--{key}", type=option.type, default=default)
    tree: dict[str, Any] = {}
    for key, setting in merged.items():
        found = known.get(key)
        with placed(setting):
            check_length(key, setting.value)
        if found is not None:
            put(tree, key, _listed(setting.value, found.type))
        elif not (key.endswith(".name") and key.removesuffix(".name") in NAMED):
            put(tree, key, setting.value)
        if found and setting.value is None and not _optional(found):
            error = UserError(f"{key} is empty, but must be {in_words(found.type)}", key=key)
            raise at(error, setting)
    try:
        values: dict[str, Any] = parser.parse_object(tree).as_dict()
    except (ArgumentError, ValueError, TypeError, OverflowError) as error:
        for key in merged:  # raises the error of the first wrong setting
            _parse_one(parser, key, merged[key], known)
        raise UserError(f"The config cannot be parsed: {str(error).splitlines()[0]}") from error
    for key, setting in merged.items():
        if key in known:
            with placed(setting):
                check_numbers(key, _get(values, key))
    return values


def _parse_one(parser: Any, key: str, setting: Setting, known: Mapping[str, Option]) -> None:
    from argparse import ArgumentError

    option = known.get(key) or next((o for k, o in known.items() if key.startswith(f"{k}.")), None)
    if option is None:
        return
    tree: dict[str, Any] = {}
    put(tree, key, _listed(setting.value, option.type))
    try:
        parser.parse_object(tree)
    except (ArgumentError, ValueError, TypeError, OverflowError) as error:
        message = f"{key} must be {in_words(option.type)}"
        raise at(UserError(message, key=key, value=setting.value), setting) from error


def _get(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def _optional(option: Option) -> bool:
    return option.default is None or "None" in str(option.type)


def _listed(value: Any, kind: Any) -> Any:
    """Split ``0.9,0.95`` for lists and tuples, and convert numbers to text if text is expected."""
    text = str(kind)
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    plain = union and str in typing.get_args(kind)
    if isinstance(value, str) and ("list" in text or "tuple" in text) and not plain:
        if not value.lstrip().startswith(("[", "(", "{")) and ("," in value or "tuple" not in text):
            return [part.strip() for part in value.split(",")]
        return value.replace("(", "[").replace(")", "]")
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "text",
         type(None): "null", dict: "a mapping", list: "a list"}  # fmt: skip


def in_words(kind: Any) -> str:
    """Describe a type for a message: ``an integer or full``, ``2 numbers, such as 0.9,0.99``."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(a) for a in args if a is not type(None)))
    if origin is typing.Literal:
        return " or ".join(dict.fromkeys(str(a) for a in args if a is not None))
    if origin is tuple and set(args) == {float}:
        return f"{len(args)} numbers, such as {','.join(['0.9', '0.99', '0.999'][: len(args)])}"
    if origin is list and args[0] in (int, str, float):
        return "a list of " + {int: "integers", str: "names", float: "numbers"}[args[0]]
    return WORDS.get(kind) or WORDS.get(origin) or type_name(kind)
