"""Options that a config can set, read from the signature and docstring of a class or function."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass
from typing import Any, Literal, Union

NEVER = {"self", "args", "kwargs"}
REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """Option of a class or function: name, type, default, and help text."""

    name: str
    type: Any
    default: Any = None
    help: str = ""

    @property
    def required(self) -> bool:
        """Whether the option has no default."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """Type as text, such as ``float`` or ``int | full``."""
        return type_name(self.type)


def type_name(kind: Any) -> str:
    """Return a type as text, such as ``int | null``."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is type(None):
        return "null"
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(a) for a in args)
    if origin is Literal:
        return " | ".join(str(a) for a in args)
    if origin is not None and args:
        inner = ", ".join("..." if a is Ellipsis else type_name(a) for a in args)
        return f"{origin.__name__}[{inner}]"
    return getattr(kind, "__name__", str(kind))


def options_of(target: Callable[..., Any], skip: Collection[str] = ()) -> dict[str, Option]:
    """Return the options of a class or function, with those of base classes for ``**kwargs``.

    Args:
        target: class or function.
        skip: parameters that are not options.

    Returns:
        Name → option. A parameter with a default is left out if a config cannot hold its type.
    """
    found: dict[str, Option] = {}
    for function, document in _functions(target):
        hints, help_of = _hints(function), _help(document)
        for name, parameter in inspect.signature(function).parameters.items():
            variadic = parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            if variadic or name in NEVER or name in skip or name in found:
                continue
            kind = plain_type(hints.get(name), parameter.default)
            if kind is None:
                if parameter.default is not REQUIRED:
                    continue
                kind = typing.Any
            default = _default(target, name, parameter.default)
            if kind is float and type(default) is int:
                default = float(default)
            found[name] = Option(name, kind, default, help_of.get(name, ""))
    return found


def _default(target: Any, name: str, default: Any) -> Any:
    """Return the default of a parameter; call the default factory of a dataclass field."""
    field = getattr(target, "__dataclass_fields__", {}).get(name)
    return default if field is None or field.default_factory is MISSING else field.default_factory()


def _functions(target: Callable[..., Any]) -> list[tuple[Any, str]]:
    """Return the functions whose parameters ``target`` accepts, with their docstrings."""
    if not inspect.isclass(target):
        return [(target, target.__doc__ or "")]
    found = []
    for cls in target.__mro__:
        if "__init__" not in cls.__dict__ or cls is object:
            continue
        init: Any = cls.__dict__["__init__"]
        found.append((init, f"{cls.__doc__ or ''}\n{init.__doc__ or ''}"))
        kinds = {p.kind for p in inspect.signature(init).parameters.values()}
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return found


@functools.cache  # in_backward builds one optimizer per parameter
def _help(document: str) -> dict[str, str]:
    from docstring_parser import parse

    return {
        p.arg_name: " ".join((p.description or "").split())
        for p in parse(inspect.cleandoc(document)).params
    }


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        return dict(getattr(function, "__annotations__", {}))


def plain_type(kind: Any, default: Any = None) -> Any:
    """Return a type without the parts that a config cannot hold, or None if nothing remains.

    A parameter without an annotation has the type of its default.
    """
    if kind is None or isinstance(kind, str) or kind in (Any, REQUIRED):
        if isinstance(default, tuple) and default and all(type(v) in (int, float) for v in default):
            return tuple[tuple(float for _ in default)]  # type: ignore[misc]
        plain = isinstance(default, bool | int | float | str | list | dict)
        return type(default) if plain else None
    if kind in (float, int, bool, str, dict, list, tuple, type(None)):
        return kind
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return kind
    if origin in (Union, types.UnionType):
        kept = [p for p in (_inner(a) for a in args) if p is not None]
        return Union[tuple(kept)] if set(kept) - {type(None)} else None  # noqa: UP007
    if isinstance(origin, type) and issubclass(origin, tuple | typing.Sequence | typing.Mapping):
        inner = [_inner(a) for a in args]
        if any(i is None for i in inner):
            return None
        home: Any = dict if issubclass(origin, typing.Mapping) else list
        return (tuple if issubclass(origin, tuple) else home)[tuple(inner)]
    return None


def _inner(kind: Any) -> Any:
    return kind if kind in (type(None), Ellipsis, Any) else plain_type(kind)
