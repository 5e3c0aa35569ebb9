"""Lookup of optimizers by name, and import of their classes."""

from __future__ import annotations

import fnmatch
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from gdlightning.errors import UserError, did_you_mean, fold
from gdlightning.optimizers.entries import ENTRIES
from gdlightning.optimizers.entry import Entry

if TYPE_CHECKING:
    from torch.optim import Optimizer

    Class = TypeVar("Class", bound=type[Optimizer])

ENTRY_POINTS = "gdlightning.optimizers"
"""Entry point group through which other distributions provide optimizers."""

MODULE = Entry(
    name="module",
    target="torch.optim:Optimizer",
    summary="the optimizers and schedulers of the module's own configure_optimizers",
    family="own",
)
"""Entry of a module that configures its optimizers itself. Not listed: it has no class."""

_registered: dict[str, tuple[Entry, type | None]] = {}


def register(
    name: str, *, summary: str = "", family: str = "own", **fields: Any
) -> Callable[[Class], Class]:
    """Register a custom optimizer under a name; a class decorator.

    Args:
        name: name for configs and the command line.
        summary: one-line description for listings; the first line of the docstring if empty.
        family: family as in ``Entry``.
        fields: other fields of ``Entry``, such as ``needs=("closure",)``.

    Raises:
        UserError: if the name is taken by a different class.

    Example:
        >>> @register("halving", summary="SGD that halves its step")  # doctest: +SKIP
        ... class Halving(torch.optim.SGD): ...
    """

    def decorate(cls: Class) -> Class:
        known = _table().get(fold(name))
        target = f"{cls.__module__}:{cls.__qualname__}"
        if known is not None and known.target != target:
            raise UserError(f"An optimizer named {name} already exists ({known.target}).")
        text = summary or (cls.__doc__ or "").strip().split("\n")[0]
        entry = Entry(name=name, target=target, summary=text, family=family, **fields)
        _registered[fold(name)] = (entry, cls)
        return cls

    return decorate


def entries(pattern: str = "*") -> list[Entry]:
    """Return the entries whose name or an alias matches a shell-style pattern, sorted by name."""
    wanted = pattern.lower()
    found = {
        entry.name: entry
        for entry in _table().values()
        if any(fnmatch.fnmatch(n, wanted) for n in (entry.name, *entry.aliases))
    }
    return [found[name] for name in sorted(found)]


def find(name: str) -> Entry:
    """Return the entry with the given name.

    Args:
        name: name in any spelling, alias, or dotted import path of a class.

    Raises:
        UserError: if there is no such optimizer. The message suggests similar names.
    """
    entry = MODULE if fold(name) == MODULE.name else _table().get(fold(name))
    if entry is not None:
        return entry
    if "." in name:
        module, _, attribute = name.replace(":", ".").rpartition(".")
        entry = Entry(name=name, target=f"{module}:{attribute}", summary="", family="own")
        load(entry)
        return entry
    raise UserError(
        f"There is no optimizer named {name}.{did_you_mean(name, _names())}\n"
        "List them with: gdl optimizers"
    )


def load(entry: Entry) -> type[Optimizer]:
    """Import and return the class of an entry.

    Raises:
        UserError: if the module or class does not exist, or is not a ``torch.optim.Optimizer``.
    """
    if entry is MODULE:
        raise UserError(
            "The module's own optimizers (configure_optimizers) are only available in a run.\n"
            "Name an optimizer, such as --optimizer adamw."
        )
    own = _registered.get(fold(entry.name))
    if own is not None and own[1] is not None:
        return own[1]
    module, _, attribute = entry.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if entry.extra and (error.name or "").split(".")[0] == entry.package:
            raise UserError(
                f"The optimizer {entry.name} needs {entry.package}, which is not installed. "
                f"Install it with: pip install 'gdlightning[{entry.extra}]'"
            ) from error
        raise UserError(
            f"The optimizer {entry.name} needs the module {error.name}, which is not installed."
        ) from error
    except (Exception, SystemExit) as error:  # raised by the code of the module
        why = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise UserError(f"The optimizer {entry.name} can't be imported: {why}.") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UserError(
                f"The module {module} has no optimizer {attribute}."
                f"{did_you_mean(attribute, [n for n in dir(found) if n[0].isupper()])}"
            )
        found = getattr(found, part)
    from torch.optim import Optimizer

    from gdlightning.optimizers.adapters import adapted

    if not (isinstance(found, type) and issubclass(found, Optimizer)):
        raise UserError(f"optimizer {entry.name} is not a torch.optim.Optimizer.", key="optimizer")
    return adapted(found)


def installed(entry: Entry) -> bool:
    """Return whether the library of an entry is installed, without importing it."""
    imported = sys.modules.get(entry.package) is not None  # __main__ of a script has no spec
    return imported or importlib.util.find_spec(entry.package) is not None


def _table() -> dict[str, Entry]:
    table: dict[str, Entry] = {}
    for entry in (*ENTRIES, *_installed(), *(e for e, _ in _registered.values())):
        for name in (entry.name, *entry.aliases):
            table.setdefault(fold(name), entry)
    return table


def _installed() -> list[Entry]:
    """Return the optimizers that other distributions provide as entry points."""
    return [
        Entry(
            name=point.name,
            target=point.value,
            summary=f"from {point.dist.name if point.dist else point.value}",
            family="own",
        )
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS)
    ]


def _names() -> list[str]:
    return [name for e in _table().values() for name in (e.name, *e.aliases)]
