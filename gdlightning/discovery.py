"""What can be named: the files of a package, or the classes in them, found without a list."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from gdlightning.errors import UserError, did_you_mean, fold


def modules(package: str) -> list[str]:
    """The names of a package's files, sorted; none is imported but the package itself."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))


def import_path(path: str, kind: str) -> Any:
    """What a dotted path stands for, e.g. ``my_package.MyModule``.

    What is found may be anything: check that it is of the wanted kind before calling it.

    Raises:
        UserError: the module can't be imported or has no such name.
    """
    module, _, attribute = path.replace(":", ".").rpartition(".")
    found = import_module(module, f"{kind} {path}: the module {module}")
    if not hasattr(found, attribute):
        names = [n for n in dir(found) if not n.startswith("_")]
        raise UserError(
            f"{kind} {path}: {module} has no {attribute}.{did_you_mean(attribute, names)}"
        )
    return getattr(found, attribute)


def import_module(name: str, what: str) -> ModuleType:
    """Import a module that the user names.

    Args:
        name: dotted, of the module.
        what: the error says can't be imported.

    Raises:
        UserError: it can't be imported, for whatever reason its own code has.
    """
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # of its own code
        why = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{what} can't be imported: {why}.") from error


def hyphenated(class_name: str) -> str:
    """``ImageClassification`` → ``image-classification``; ``MLP`` → ``mlp``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


class Catalogue:
    """The public classes in a package's files, by name; a new file needs no edit elsewhere.

    A file whose class is written otherwise than ``name_of`` says has ``NAMES``, class → name.

    Args:
        package: whose files are searched.
        kind: what errors call such a class.
        base: ``module:Class`` that they derive from.
        name_of: class → its name in configs.
    """

    def __init__(
        self, package: str, kind: str, base: str, name_of: Callable[[type], str] | None = None
    ) -> None:
        self.package, self.kind, self.base = package, kind, base
        self.name_of = name_of or (lambda cls: hyphenated(cls.__name__))
        self._found: dict[str, type] | None = None

    def classes(self) -> dict[str, type]:
        """Name → class, of those that a file lists in its ``__all__``."""
        if self._found is None:
            module, _, attribute = self.base.partition(":")
            base = getattr(importlib.import_module(module), attribute)
            self._found = {}
            for name in modules(self.package):
                home = importlib.import_module(f"{self.package}.{name}")
                own = [
                    cls
                    for cls in vars(home).values()
                    if inspect.isclass(cls)
                    and issubclass(cls, base)
                    and cls.__module__ == home.__name__
                    and cls.__name__ in getattr(home, "__all__", ())
                ]
                written = getattr(home, "NAMES", {})
                self._found |= {written.get(c.__name__) or self.name_of(c): c for c in own}
        return self._found

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.classes())

    def find(self, name: str) -> Any:
        """The class of a name in any spelling, or of a dotted path.

        Raises:
            UserError: there is none, or the path leads to something else.
        """
        table = {fold(n): cls for n, cls in self.classes().items()}
        if fold(name) in table:
            return table[fold(name)]
        if "." in name:
            module, _, attribute = self.base.partition(":")
            found = import_path(name, self.kind)
            if inspect.isclass(found) and issubclass(
                found, getattr(importlib.import_module(module), attribute)
            ):
                return found
            raise UserError(f"{self.kind} {name} is no {self.base.replace(':', '.')}.")
        raise UserError(
            f"There is no {self.kind} named {name}.{did_you_mean(name, self.names())}\n"
            f"There are {', '.join(self.names())}; or give a class path such as my_module.MyClass."
        )
