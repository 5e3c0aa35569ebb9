"""Find objects that a config selects by name: files of a package, classes in them, dotted paths."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any

from gdlightning.errors import UserError, did_you_mean, fold


def modules(package: str) -> list[str]:
    """Return the sorted names of the files of a package, without importing them."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))


def import_path(path: str, kind: str) -> Any:
    """Import the object of a dotted path, such as ``my_package.MyModule``.

    The object may be of any type. Check its type before calling it.

    Args:
        path: dotted path; a colon before the last part is accepted.
        kind: kind of object, for error messages.

    Raises:
        UserError: if the module cannot be imported or has no such attribute.
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
        name: dotted name of the module.
        what: subject of the error message.

    Raises:
        UserError: if it cannot be imported, whatever its code raises.
    """
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # raised by the code of the module
        why = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{what} can't be imported: {why}.") from error


def hyphenated(class_name: str) -> str:
    """Return a class name with hyphens: ``ImageClassification`` → ``image-classification``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", class_name).lower()


class Catalogue:
    """Objects of one kind that a config selects by name; a new file needs no edit elsewhere.

    The files of a package are listed without importing them. By default, every file contributes
    the classes in its ``__all__`` that derive from ``base``, under their hyphenated names, or under
    the names in the file's ``NAMES`` (class → name). With ``member``, every file contributes one
    object under the name of the file and the file's ``ALIASES``, and is imported when it is used.

    Args:
        package: dotted name of the package.
        kind: what errors call such an object, such as ``net``.
        base: ``module:Class``, the base class of the objects; without, any object is accepted.
        member: (module, file name) → object of the file.
        check: (object, path) → None for objects found by a dotted path; raises ``UserError``.
        skip: files that contain no such object.
        further: further objects by name, from a library.

    Example:
        >>> nets = Catalogue("gdlightning.nets", "net", base="torch.nn:Module")
        >>> nets.find("ResidualMLP") is nets.find("residual-mlp")
        True
    """

    def __init__(
        self,
        package: str,
        kind: str,
        *,
        base: str = "",
        member: Callable[[ModuleType, str], Any] | None = None,
        check: Callable[[Any, str], None] | None = None,
        skip: Collection[str] = (),
        further: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.package, self.kind, self.base = package, kind, base
        self._member, self._check, self._skip, self._further = member, check, skip, further
        self._registered: dict[str, Any] = {}

    def register(self, name: str, found: Any) -> None:
        """Add an object that is not in a file of the package."""
        self._registered[name] = found

    def names(self) -> list[str]:
        """Return all names, sorted; no file is imported if each contains one object."""
        if self._member is None:
            return sorted(self.classes())
        return sorted({*self._files(), *self._further(), *self._registered})

    def classes(self) -> dict[str, Any]:
        """Return name → object; all files are imported."""
        found = dict(self._further())
        for file in self._files():
            home = self._import(file)
            if self._member is not None:
                found[file] = self._member(home, file)
            else:
                names = getattr(home, "NAMES", {})
                found |= {
                    names.get(c.__name__) or hyphenated(c.__name__): c for c in self._public(home)
                }
        return found | self._registered

    def name(self, given: str) -> str:
        """Return the canonical name for any spelling or alias.

        Raises:
            UserError: if there is no such name. The message suggests similar names.
        """
        own = {fold(name): name for name in reversed(self.names())}
        if fold(given) in own:
            return own[fold(given)]
        aliases = self._aliases()
        if fold(given) in aliases:
            return aliases[fold(given)]
        names = self.names()
        raise UserError(
            f"There is no {self.kind} named {given}."
            f"{did_you_mean(given, [*names, *aliases.values()])}",
            hint=f"Available: {', '.join(names)}; or set a dotted path such as my_module.my_name.",
        )

    def find(self, given: str) -> Any:
        """Return the object with the given name.

        Args:
            given: name in any spelling, alias, or dotted import path.

        Raises:
            UserError: if there is no such object, or a dotted path leads to another kind.
        """
        try:
            name = self.name(given)
        except UserError:
            if "." not in given:
                raise
            found = import_path(given, self.kind)
            self.check(found, given)
            return found
        if self._member is None or name in self._registered or name not in self._files():
            return self.classes()[name]
        return self._member(self._import(name), name)

    def check(self, found: Any, path: str) -> None:
        """Check the kind of an object without calling it.

        Raises:
            UserError: if it is of another kind.
        """
        if self._check is not None:
            self._check(found, path)
        elif self.base and not (inspect.isclass(found) and issubclass(found, self._base())):
            raise UserError(
                f"{self.kind} {path} is not a subclass of {self.base.replace(':', '.')}."
            )

    def _base(self) -> type:
        module, _, attribute = self.base.partition(":")
        base: type = getattr(importlib.import_module(module), attribute)
        return base

    def _files(self) -> list[str]:
        return [file for file in modules(self.package) if file not in self._skip]

    def _import(self, file: str) -> ModuleType:
        return importlib.import_module(f"{self.package}.{file}")

    def _public(self, home: ModuleType) -> list[type]:
        """Return the classes of the kind that a file defines and lists in ``__all__``."""
        base = self._base()
        return [
            cls
            for cls in vars(home).values()
            if inspect.isclass(cls)
            and issubclass(cls, base)
            and cls.__module__ == home.__name__
            and cls.__name__ in getattr(home, "__all__", ())
        ]

    def _aliases(self) -> dict[str, str]:
        """Return folded alias → name; imports the files."""
        if self._member is None:
            return {}
        return {
            fold(alias): file
            for file in reversed(self._files())
            for alias in getattr(self._import(file), "ALIASES", ())
        }


def only_class(base: type) -> Callable[[ModuleType, str], Any]:
    """Return a ``member`` for ``Catalogue``: the first subclass of ``base`` that a file defines."""

    def member(home: ModuleType, file: str) -> Any:
        return next(
            c
            for c in vars(home).values()
            if inspect.isclass(c) and issubclass(c, base) and c.__module__ == home.__name__
        )

    return member
