"""Read settings from YAML files and flags, and merge them in the order given."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from gdlightning.config.shipped_configs import find_config, shipped_configs
from gdlightning.errors import COMMAND_LINE, UserError, did_you_mean, fold, shown

NAMED = (
    "model", "model.net", "data", "optimizer", "optimizer.companion", "optimizer.base",
    "schedule", "clip",
)  # fmt: skip
"""Sections selected by name, with the options of the selected class."""

FIXED = ("groups", "watch", "monitor", "checkpoint", "guard")
"""Sections whose options do not depend on other settings."""

SECTIONS = (*FIXED, "trainer")

DEFAULTS = "the defaults"
"""Origin of a setting that the user did not give."""
PYTHON = "the arguments in Python"
"""Origin of a setting that changes a config from Python."""


@dataclass(frozen=True)
class Setting:
    """Value of a setting.

    Args:
        key: dotted key.
        value: value as given, before it is converted to the type of the option.
        origin: config file, ``COMMAND_LINE``, or a description of where the value comes from.
    """

    key: str
    value: Any
    origin: str


MAX_YAML_VALUES = 5_000
"""Values (keys, scalars, lists and mappings) in a config file after anchors and merges are
expanded."""


class Loader(yaml.SafeLoader):
    """Safe YAML loader that reads ``1e-3`` as a number and raises an error for duplicate keys."""

    _values = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """Read a node, and stop early in a file with too many values."""
        self._values += 1
        self._check(self._values)
        found: yaml.Node | None = super().compose_node(parent, index)
        return found

    def get_single_node(self) -> yaml.Node | None:
        """Read the document, and check its size after anchors and merges are expanded."""
        root: yaml.Node | None = super().get_single_node()
        if root is not None:
            self._check(self._size(root, {}))
        return root

    def _size(self, node: yaml.Node, known: dict[yaml.Node, int | None]) -> int:
        """Return the number of values in a node, with those of an alias at each of its places."""
        if node not in known:
            known[node] = None
            pairs = isinstance(node, yaml.MappingNode)
            inner = [n for pair in node.value for n in pair] if pairs else node.value
            known[node] = 1 + (
                0
                if isinstance(node, yaml.ScalarNode)
                else sum(self._size(child, known) for child in inner)
            )
        size = known[node]
        if size is None:
            raise UserError(f"{self.name} contains an anchor that refers to itself.")
        return size

    def _check(self, count: int) -> None:
        if count > MAX_YAML_VALUES:
            raise UserError(
                f"{self.name} has more than {MAX_YAML_VALUES:,} values, the maximum for a config "
                "file (anchors and merges expanded)."
            )

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Raise an error for a duplicate key, of which YAML would silently drop the first."""
        seen: set[Any] = set()
        for key, _ in node.value:
            where = f"{node.start_mark.name}, line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{where}: a key must be a word, not a list or a mapping.")
            if key.value in seen:
                raise UserError(f"{where}: the key {shown(key.value)} is set twice.")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# Dates stay text.
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def read_yaml(path: str) -> dict[str, Any]:
    """Read a YAML file as a mapping.

    Raises:
        UserError: if the file is missing, is not valid YAML, or does not contain a mapping. The
            message names the file and the line.
    """
    file = find_config(path)
    try:
        with file.open(encoding="utf-8") as stream:
            found = yaml.load(stream, Loader)  # a SafeLoader
    except RecursionError:
        raise UserError(f"{path} is nested too deeply.") from None
    except FileNotFoundError:
        near = [str(p) for p in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
        near += [p.stem for p in shipped_configs()]
        raise UserError(f"There is no config file {path}.{did_you_mean(path, near)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The config file {path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, AttributeError, TypeError) as error:  # of odd tags
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"{path}{line} is not valid YAML: {problem}.") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(
            f"{path} must be a mapping of keys to values (got a {type(found).__name__})."
        )
    return found


def flatten(tree: Mapping[Any, Any], origin: str, prefix: str = "") -> Iterator[Setting]:
    """Yield the leaves of a nested mapping as settings.

    The value of a named section may be its name.

    Raises:
        UserError: if an unnamed section has a value that is not a mapping.
    """
    for raw, value in tree.items():
        key = f"{prefix}{raw}"
        if key in NAMED and isinstance(value, Mapping):
            # merge() drops options before a new name, but order in one mapping must not matter.
            ordered = {k: v for k, v in value.items() if k == "name"} | dict(value)
            yield from flatten(ordered, origin, f"{key}.")
        elif key in NAMED:
            yield Setting(f"{key}.name", value, origin)
        elif isinstance(value, Mapping) and (value or key in SECTIONS):
            yield from flatten(value, origin, f"{key}.")
        elif key not in SECTIONS:
            yield Setting(key, value, origin)
        elif value is not None:
            raise UserError(
                f"{key} is a section of options, and cannot be set to a value",
                key=key,
                value=value,
                hint=f"Set {key}.OPTION. List the options with: gdl fit --{key}.help",
                file=origin,
            )


def read_flags(argv: list[str], switches: set[str]) -> tuple[list[Setting], dict[str, Any]]:
    """Read the settings and switches of a command line.

    Args:
        argv: arguments without program and verb.
        switches: flags that are not settings, such as ``debug``; they may have a value.

    Returns:
        Settings in the order given, including those of ``--config`` files, and switch → value.

    Raises:
        UserError: if an argument is not a flag, or a config file cannot be read.
    """
    settings: list[Setting] = []
    nets: list[Setting] = []
    found: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        if not re.match(r"--[A-Za-z_]", token):
            raise UserError(
                f"{shown(token)} is not an option.",
                hint="Options start with two hyphens, such as --optimizer adamw.",
            )
        key, equals, text = token[2:].partition("=")
        value: Any = text
        if not equals:
            value = rest.pop(0) if rest and not re.match(r"--[A-Za-z_]", rest[0]) else True
        key = key.replace("-", "_")
        if key == "config":
            if value is True or not value:
                raise UserError("--config needs the path of a YAML file.")
            settings += flatten(read_yaml(value), value)
        elif key in switches:
            found[key] = value
        else:
            # A new task starts its section afresh: --net is read after --task, in any order.
            part = nets if key.partition(".")[0] == "net" else settings
            part += flatten({aliased(key): value}, COMMAND_LINE)
    return settings + nets, found


ALIASES = {"net": "model.net", "task": "model"}
"""Short names of sections."""


def aliased(key: str) -> str:
    """Return a dotted key with the section's full name."""
    head, dot, rest = key.partition(".")
    return f"{ALIASES.get(head, head)}{dot}{rest}"


def merge(settings: list[Setting]) -> dict[str, Setting]:
    """Return the last setting of each key.

    A new name in a named section resets the section: earlier settings for the previous choice, from
    a file or a flag, are dropped.
    """
    merged: dict[str, Setting] = {}
    for setting in settings:
        section, _, last = setting.key.rpartition(".")
        if last == "name" and section in NAMED:
            former = merged.get(setting.key)
            if former is None or fold(str(former.value)) != fold(str(setting.value)):
                merged = {k: s for k, s in merged.items() if not k.startswith(f"{section}.")}
        merged[setting.key] = setting
    return merged


def displaced(settings: list[Setting], section: str) -> dict[str, Setting]:
    """Return the settings of a section for its previous choice, before the last change of name.

    Returns:
        Dotted key → setting; empty if the name was set only once.
    """
    name = f"{section}.name"
    changes = [
        number
        for number, setting in enumerate(settings)
        if setting.key == name
        and fold(str(setting.value)) != fold(str(_last(settings[:number], name)))
    ]
    if len(changes) < 2:
        return {}
    before = merge(settings[: changes[-1]])
    return {k: s for k, s in before.items() if k.startswith(f"{section}.")}


def _last(settings: list[Setting], key: str) -> Any:
    return next((s.value for s in reversed(settings) if s.key == key), None)


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted key of a nested dictionary."""
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
    tree[last] = value


def at(error: UserError, setting: Setting | None) -> UserError:
    """Add the origin of a setting to an error that has none, and return the error."""
    if setting is not None:
        error.keys = error.keys or (setting.key,)
    if error.file is None:
        error.file = setting.origin if setting else DEFAULTS
    return error


@contextlib.contextmanager
def placed(setting: Setting | None) -> Iterator[None]:
    """Add the origin of a setting to errors that are raised within the block."""
    try:
        yield
    except UserError as error:
        at(error, setting)
        raise


def located(error: UserError, given: Mapping[str, Setting]) -> UserError:
    """Add the origin of the setting that an error names, and return the error.

    Args:
        error: error whose keys are full dotted keys.
        given: dotted key → setting that the user gave.

    Returns:
        The error, without an origin if the user gave none of the settings. For a section, the
        origin is known only if all of its settings have the same one.
    """
    for key in error.keys if error.file is None else ():
        inside = {s.origin for k, s in given.items() if k.startswith(f"{key}.")}
        if key in given:
            error.file = given[key].origin
        elif len(inside) == 1:
            error.file = inside.pop()
        if error.file is not None:
            break
    return error
