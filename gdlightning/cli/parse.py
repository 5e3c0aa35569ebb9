"""The types of settings, checked by jsonargparse, with errors that say where each was given."""

from __future__ import annotations

import contextlib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from gdlightning.cli.limits import check_length, check_numbers
from gdlightning.cli.sources import NAMED, Setting, shown
from gdlightning.errors import UserError
from gdlightning.signature import Option, type_name


def parse(merged: Mapping[str, Setting], known: Mapping[str, Option]) -> dict[str, Any]:
    """Every option's value, nested, of its type.

    Raises:
        UserError: with key, value and place of the first setting that is of another type.
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
            raise at(UserError(f"{key} is empty; write {in_words(found.type)}."), setting)
    try:
        values: dict[str, Any] = parser.parse_object(tree).as_dict()
    except (ArgumentError, ValueError, TypeError, OverflowError) as error:
        for key in merged:  # the first that can't be read by itself
            _parse_one(parser, key, merged[key], known)
        raise UserError(f"The config can't be read: {str(error).splitlines()[0]}") from error
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
        text = f"{key} is {shown(setting.value)}; write {in_words(option.type)}."
        raise at(UserError(text), setting) from error


def _get(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree


def _optional(option: Option) -> bool:
    return option.default is None or "None" in str(option.type)


def _listed(value: Any, kind: Any) -> Any:
    """``0.9,0.95`` for lists and tuples, and numbers where text is wanted."""
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


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted key."""
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
    tree[last] = value


def at(error: UserError, setting: Setting | None) -> UserError:
    """The same error with the place where the setting was given."""
    origin = setting.origin if setting else "the defaults"
    return UserError(f"{error}\n(in {origin})" if "(in " not in str(error) else str(error))


@contextlib.contextmanager
def placed(setting: Setting | None) -> Iterator[None]:
    """Let an error that is raised within say where the setting was given."""
    try:
        yield
    except UserError as error:
        raise at(error, setting) from error


def located(error: UserError, given: Mapping[str, Setting]) -> UserError:
    """The same error with the place of the setting that it names first, where it names one."""
    text = str(error)
    if text.startswith("trainer: "):  # Lightning names its arguments without the section
        inside = {k: s for k, s in given.items() if k.startswith("trainer.")}
        for key in [k for k in inside if re.search(rf"\b{k[8:]}\b", text)] or _meant(text, inside):
            text = f"{key} is {shown(inside[key].value)}: {text.removeprefix('trainer: ')}"
            return at(UserError(text), inside[key])
    if type(error) is not UserError:
        return error
    named = [k for k in given if re.search(rf"(?<![\w.]){re.escape(k)}(?![\w.]*\w)", text)]
    named = [min(named, key=text.index)] if named else _meant(text, given)
    return at(error, given[named[0]]) if named else error


def _meant(text: str, given: Mapping[str, Setting]) -> list[str]:
    """Keys that a message means without naming them in full: by their last part, or their value."""
    first = re.match(r"\w*", text)
    word = first[0] if first else ""
    last = [k for k in given if k.rpartition(".")[2] == word]
    if last:
        return last
    values = {k: str(setting.value) for k, setting in given.items()}
    return [
        k for k, value in values.items()
        if len(value) > 2 and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text)
    ]  # fmt: skip


WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text",
         type(None): "null", dict: "a mapping", list: "a list"}  # fmt: skip


def in_words(kind: Any) -> str:
    """What to write for a type: ``a whole number or full``, ``2 numbers, such as 0.9,0.99``."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(in_words(a) for a in args if a is not type(None)))
    if origin is typing.Literal:
        return " or ".join(dict.fromkeys(str(a) for a in args if a is not None))
    if origin is tuple and set(args) == {float}:
        return f"{len(args)} numbers, such as {','.join(['0.9', '0.99', '0.999'][: len(args)])}"
    if origin is list and args[0] in (int, str, float):
        return "a list of " + {int: "whole numbers", str: "names", float: "numbers"}[args[0]]
    return WORDS.get(kind) or WORDS.get(origin) or type_name(kind)
