"""Settings from YAML files and flags, in the order in which they were given."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from gdlightning.errors import UserError, did_you_mean, fold

NAMED = (
    "model", "model.net", "data", "optimizer", "optimizer.companion", "optimizer.base",
    "schedule", "clip",
)  # fmt: skip
"""Sections that are chosen by name and then have that choice's own options."""

FIXED = ("groups", "watch", "monitor", "checkpoint", "guard")
"""Sections whose options are always the same."""

SECTIONS = (*FIXED, "trainer")

COMMAND_LINE = "the command line"
PYTHON = "the arguments in Python"
"""Origins of settings that change those of a config."""


@dataclass(frozen=True)
class Setting:
    """One value at a dotted key, and where it was given."""

    key: str
    value: Any
    origin: str


def shown(value: Any) -> str:
    """A value for a message, on one line and short."""
    text = value if isinstance(value, str) and value.isprintable() and value else repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"


MOST = 5000
"""Values that a config may hold; one that grows beyond by anchors and merges is no config."""


class Loader(yaml.SafeLoader):
    """YAML without tags that make objects, with ``1e-3`` a number and no key given twice."""

    count = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """Count the values as they are read."""
        self._add(1)
        found: yaml.Node | None = super().compose_node(parent, index)
        return found

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Count what a merge (``<<``) copies."""
        super().flatten_mapping(node)
        self._add(len(node.value))

    def _add(self, count: int) -> None:
        self.count += count
        if self.count > MOST:
            raise UserError(f"{self.name} holds more than {MOST:,} values: it is no config.")

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the first would be lost without a word."""
        seen: set[Any] = set()
        for key, _ in node.value:
            where = f"{node.start_mark.name}, line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise UserError(f"{where}: a key must be a word, not a list or a mapping.")
            if key.value in seen:
                raise UserError(f"{where}: the key {shown(key.value)} stands twice.")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# A date is the text that it looks like.
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


MOST = 100_000
"""Settings in a file."""


def read_yaml(path: str) -> dict[str, Any]:
    """A YAML file as a mapping.

    Raises:
        UserError: the file is missing, is no YAML, or holds no mapping; names file and line.
    """
    file = Path(path)
    try:
        with file.open(encoding="utf-8") as stream:
            found = yaml.load(stream, Loader)  # a SafeLoader
        if isinstance(found, Mapping):
            settings = sum(1 for _ in islice(flatten(found, path), MOST + 1))
            if settings > MOST:  # by anchors that repeat each other
                raise UserError(f"{path} holds more than {MOST:,} settings.")
    except RecursionError:
        raise UserError(f"{path} is nested too deeply, or holds itself (by an anchor).") from None
    except FileNotFoundError:
        near = [str(p) for p in file.parent.glob("*.y*ml")] if file.parent.is_dir() else []
        raise UserError(f"There is no config file {path}.{did_you_mean(path, near)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The config file {path} can't be read: {error}") from error
    except (yaml.YAMLError, ValueError, AttributeError, TypeError) as error:  # of odd tags
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"{path}{line} is no valid YAML: {problem}.") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold keys and values, not {type(found).__name__}.")
    return found


def flatten(tree: Mapping[Any, Any], origin: str, prefix: str = "") -> Iterator[Setting]:
    """The leaves of a nested mapping as settings; a named section may be its name alone."""
    for raw, value in tree.items():
        key = f"{prefix}{raw}"
        if key in NAMED and isinstance(value, Mapping):
            # The name comes first: what stands before it in the file belongs to it too.
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
                f"{key} is {shown(value)}; it is a section of options, {key}.OPTION. They are "
                f"listed by: gdl fit --{key}.help\n(in {origin})"
            )


def read_flags(argv: list[str], switches: set[str]) -> tuple[list[Setting], dict[str, Any]]:
    """Settings of a command line and the switches among them.

    Args:
        argv: without program and verb.
        switches: flags that are no settings, e.g. ``debug``; a value may follow.

    Returns:
        The settings, those of ``--config`` files included, in order; switch → value.

    Raises:
        UserError: an argument that is no flag, or a config file that can't be read.
    """
    settings: list[Setting] = []
    nets: list[Setting] = []
    found: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        if not re.match(r"--[A-Za-z_]", token):
            raise UserError(
                f"{shown(token)} is no option. Options begin with two hyphens: --optimizer adamw."
            )
        key, equals, text = token[2:].partition("=")
        value: Any = text
        if not equals:
            value = rest.pop(0) if rest and not re.match(r"--[A-Za-z_]", rest[0]) else True
        key = key.replace("-", "_")
        if key == "config":
            if value is True or not value:
                raise UserError("--config needs the name of a YAML file.")
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
    """The last value of each key.

    A new name in a named section starts that section afresh: nothing that was set for the former
    choice, in a file or by an earlier flag, is carried over.
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
    """What was set in a section for the choice before the last; empty where there was none."""
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
