"""Encode values of standard types as plain values that ``torch.load(weights_only=True)`` reads.

A value that is not plain is encoded as ``{TYPE: name, …}`` and decoded when it is read. Decoding
does not import modules or execute code from the file: enums, dataclasses and named tuples are
restored only if their module is already imported, and stay plain otherwise.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import sys
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

TYPE = "gdlightning.type"
"""Key of the type name in an encoded value."""
MAX_DEPTH = 100
"""Maximum nesting. Deeper values and values that contain themselves cannot be stored."""
LEAF_TYPES = (type(None), bool, int, float, str, bytes)
TORCH_TYPES = (torch.dtype, torch.device, torch.layout)
FACTORIES = {
    "": None,
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "dict": dict,
    "set": set,
}
"""Supported factories of a ``defaultdict`` by name."""
STRING_TYPES: dict[type, Callable[[str], Any]] = {
    decimal.Decimal: decimal.Decimal,
    fractions.Fraction: fractions.Fraction,
    uuid.UUID: uuid.UUID,
    zoneinfo.ZoneInfo: zoneinfo.ZoneInfo,
    complex: complex,
}
"""Types that can be restored from their ``str``, with a function that does so."""
TIME_TYPES: dict[type, Callable[[str], Any]] = {
    datetime.datetime: datetime.datetime.fromisoformat,
    datetime.date: datetime.date.fromisoformat,
    datetime.time: datetime.time.fromisoformat,
}


class UnsupportedValueError(Exception):
    """A value that cannot be stored.

    Attributes:
        path: The keys of the value, outermost first.
        value: The value.
    """

    def __init__(self, path: tuple[Any, ...], value: Any) -> None:
        super().__init__(f"{describe(path)} is {kind(value)}")
        self.path, self.value = path, value


def describe(path: tuple[Any, ...]) -> str:
    """Format a path of keys, such as ``callbacks['Tracker']['best']``."""
    return "".join(f"[{key!r}]" if k else str(key) for k, key in enumerate(path))


def kind(value: Any) -> str:
    """Return a short description of the type of a value."""
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"the function {value.__qualname__}"
    return f"an object of type {type(value).__module__}.{type(value).__qualname__}"


def encode(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Encode a value as plain values. Tensors are not changed.

    Args:
        value: Nested containers of tensors, numbers, strings and values of standard types.
        path: The keys of the value, for error messages.

    Raises:
        UnsupportedValueError: If a part cannot be encoded, such as a function or a lock.
    """
    if type(value) is torch.nn.Parameter:  # Lightning's copy of a checkpoint turns it into a tensor
        return _tagged("Parameter", data=value.detach(), requires_grad=value.requires_grad)
    if _is_leaf(value) or isinstance(value, torch.Tensor) or type(value) in TORCH_TYPES:
        return value
    if len(path) > MAX_DEPTH:
        raise UnsupportedValueError(path, value)
    for cls, encoder in ENCODERS:
        if isinstance(value, cls):
            return encoder(value, path)
    raise UnsupportedValueError(path, value)


def _is_leaf(value: Any) -> bool:
    return type(value) in LEAF_TYPES and value != b""  # torch.load rejects empty bytes


def decode(value: Any) -> Any:
    """Decode a value that ``encode`` returned."""
    if isinstance(value, dict):
        name = value.get(TYPE)
        if isinstance(name, str) and name in DECODERS:
            try:
                return DECODERS[name](value)
            except (KeyError, ValueError, TypeError, ArithmeticError, AttributeError):
                return value  # not written by encode
        return _like(value, ((k, decode(v)) for k, v in value.items()))
    if type(value) in (list, tuple):
        return type(value)(map(decode, value))
    return value


# Encoders


def _tagged(of: str, /, **parts: Any) -> dict[str, Any]:
    return {TYPE: of, **parts}


def _items(value: Any, path: tuple[Any, ...]) -> list[Any]:
    return [encode(inner, (*path, k)) for k, inner in enumerate(value)]


def _mapping(value: Mapping[Any, Any], path: tuple[Any, ...]) -> Any:
    if all(_is_key(k) for k in value) and TYPE not in value:
        return _like(value, ((k, encode(v, (*path, k))) for k, v in value.items()))
    pairs = [[encode(k, path), encode(v, (*path, k))] for k, v in value.items()]
    return _tagged("dict", items=pairs)


def _like(value: Mapping[Any, Any], items: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return a dict, or an OrderedDict with the same attributes, such as ``_metadata``."""
    if not isinstance(value, OrderedDict):
        return dict(items)
    made: OrderedDict[Any, Any] = OrderedDict(items)
    vars(made).update(vars(value))
    return made


def _is_key(key: Any) -> bool:
    return _is_leaf(key) or (type(key) is tuple and all(map(_is_key, key)))


def _sequence(value: Any, path: tuple[Any, ...]) -> Any:
    if isinstance(value, torch.Size):
        return value
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            return _tagged("namedtuple", cls=_name(type(value)), values=_items(value, path))
        return tuple(_items(value, path))
    if all(map(_is_leaf, value)):
        return list(value)
    return _items(value, path)


def _array(value: Any, path: tuple[Any, ...]) -> Any:
    array, scalar = np.asarray(value), isinstance(value, np.generic)
    if array.dtype.hasobject or array.dtype.names is not None:
        raise UnsupportedValueError(path, value)
    data = _as_tensor(np.ascontiguousarray(array).tobytes())
    shape = list(array.shape)
    return _tagged("numpy", dtype=array.dtype.str, shape=shape, data=data, scalar=scalar)


def _as_tensor(data: bytes) -> torch.Tensor:
    """Return bytes as a tensor, which is stored as raw data."""
    if not data:  # frombuffer rejects an empty buffer
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _to_bytes(data: torch.Tensor) -> bytes:
    return data.numpy().tobytes()


def _counter(value: Counter[Any], path: tuple[Any, ...]) -> Any:
    return _tagged("Counter", items=_mapping(dict(value), path))


def _default(value: defaultdict[Any, Any], path: tuple[Any, ...]) -> Any:
    factory = value.default_factory
    names = [name for name, known in FACTORIES.items() if known is factory]
    if not names:
        raise UnsupportedValueError(path, factory)
    return _tagged("defaultdict", factory=names[0], items=_mapping(dict(value), path))


def _dataclass(value: Any, path: tuple[Any, ...]) -> Any:
    if isinstance(value, type) or not dataclasses.is_dataclass(value):
        raise UnsupportedValueError(path, value)
    names = {f.name for f in dataclasses.fields(value)} | set(getattr(value, "__dict__", {}))
    fields = {name: getattr(value, name) for name in sorted(names) if hasattr(value, name)}
    return _tagged("dataclass", cls=_name(type(value)), fields=_mapping(fields, path))


def _time(value: Any, path: tuple[Any, ...]) -> Any:
    zone = getattr(value, "tzinfo", None)
    if zone is not None and not isinstance(zone, datetime.timezone | zoneinfo.ZoneInfo):
        raise UnsupportedValueError(path, value)
    kept = encode(zone, path) if isinstance(zone, zoneinfo.ZoneInfo) else None
    bare = value.replace(tzinfo=None) if kept is not None else value
    fold = getattr(value, "fold", 0)
    return _tagged(type(value).__name__, text=bare.isoformat(), zone=kept, fold=fold)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


ENCODERS: list[tuple[Any, Callable[[Any, tuple[Any, ...]], Any]]] = [
    (enum.Enum, lambda v, p: _tagged("enum", cls=_name(type(v)), member=v.name)),
    ((np.generic, np.ndarray), _array),
    (Counter, _counter),
    (defaultdict, _default),
    (Mapping, _mapping),
    ((list, tuple), _sequence),
    (set, lambda v, p: _tagged("set", items=_items(v, p))),
    (frozenset, lambda v, p: _tagged("frozenset", items=_items(v, p))),
    (deque, lambda v, p: _tagged("deque", items=_items(v, p), maxlen=v.maxlen)),
    (bytearray, lambda v, p: _tagged("bytearray", data=_as_tensor(bytes(v)))),
    (bytes, lambda v, p: _tagged("bytes", data=_as_tensor(v))),
    (range, lambda v, p: _tagged("range", bounds=[v.start, v.stop, v.step])),
    (slice, lambda v, p: _tagged("slice", bounds=_items((v.start, v.stop, v.step), p))),
    (pathlib.PurePath, lambda v, p: _tagged("path", pure=not isinstance(v, pathlib.Path),
                                            windows=isinstance(v, pathlib.PureWindowsPath),
                                            text=str(v))),
    (datetime.timedelta, lambda v, p: _tagged("timedelta",
                                              parts=[v.days, v.seconds, v.microseconds])),
    (datetime.timezone, lambda v, p: _tagged("timezone", offset=encode(v.utcoffset(None), p))),
    ((datetime.date, datetime.time), _time),
    (tuple(STRING_TYPES), lambda v, p: _tagged(type(v).__name__, text=str(v))),
    (str, lambda v, p: str(v)),  # subclasses are stored as their base class
    (int, lambda v, p: int(v)),
    (float, lambda v, p: float(v)),
    (object, _dataclass),
]  # fmt: skip
"""Encoders by class. The first that matches is used."""


# Decoders


def _to_array(plain: dict[str, Any]) -> Any:
    array = np.frombuffer(_to_bytes(plain["data"]), dtype=np.dtype(plain["dtype"])).reshape(
        plain["shape"]
    )
    return array[()] if plain["scalar"] else array.copy()


def _to_path(plain: dict[str, Any]) -> Any:
    if not plain["pure"]:
        return pathlib.Path(plain["text"])
    return (pathlib.PureWindowsPath if plain["windows"] else pathlib.PurePosixPath)(plain["text"])


def _to_time(cls: type, plain: dict[str, Any]) -> Any:
    made = TIME_TYPES[cls](plain["text"])
    zone = decode(plain["zone"])
    if zone is not None:
        made = made.replace(tzinfo=zone)
    return made.replace(fold=plain["fold"]) if plain["fold"] else made


def _to_enum(plain: dict[str, Any]) -> Any:
    cls = _find(plain["cls"], enum.Enum)
    return plain if cls is None else cls.__members__[plain["member"]]


def _to_namedtuple(plain: dict[str, Any]) -> Any:
    cls, values = _find(plain["cls"], tuple), decode(plain["values"])
    return tuple(values) if cls is None else tuple.__new__(cls, values)


def _to_dataclass(plain: dict[str, Any]) -> Any:
    cls: Any = _find(plain["cls"], object)
    fields = decode(plain["fields"])
    if not hasattr(cls, "__dataclass_fields__"):
        return fields
    made: Any = object.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def _to_text_type(make: Callable[[str], Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda plain: make(plain["text"])


def _find(name: str, base: type) -> Any:
    """Return a class if its module is already imported, or None."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, base) else None


DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "numpy": _to_array,
    "Parameter": lambda p: torch.nn.Parameter(p["data"], p["requires_grad"]),
    "enum": _to_enum,
    "namedtuple": _to_namedtuple,
    "dataclass": _to_dataclass,
    "path": _to_path,
    "dict": lambda p: {decode(k): decode(v) for k, v in p["items"]},
    "Counter": lambda p: Counter(decode(p["items"])),
    "defaultdict": lambda p: defaultdict(FACTORIES[p["factory"]], decode(p["items"])),
    "set": lambda p: set(decode(p["items"])),
    "frozenset": lambda p: frozenset(decode(p["items"])),
    "deque": lambda p: deque(decode(p["items"]), p["maxlen"]),
    "bytearray": lambda p: bytearray(_to_bytes(p["data"])),
    "bytes": lambda p: _to_bytes(p["data"]),
    "range": lambda p: range(*p["bounds"]),
    "slice": lambda p: slice(*decode(p["bounds"])),
    "timedelta": lambda p: datetime.timedelta(*p["parts"]),
    "timezone": lambda p: datetime.timezone(decode(p["offset"])),
    "datetime": lambda p: _to_time(datetime.datetime, p),
    "date": lambda p: _to_time(datetime.date, p),
    "time": lambda p: _to_time(datetime.time, p),
    **{cls.__name__: _to_text_type(make) for cls, make in STRING_TYPES.items()},
}  # fmt: skip
