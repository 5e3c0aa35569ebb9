"""Change one value of a config file, and keep its comments and layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from gdlightning.config.settings import NAMED, Loader, flatten, read_yaml
from gdlightning.errors import UserError
from gdlightning.storage.atomic_write import open_atomic


def rewrite(path: str, key: str, value: float) -> None:
    """Set a number in a config file atomically.

    Raises:
        UserError: as in ``rewritten``.
        StorageError: if the file cannot be written.
    """
    file = Path(path).resolve()  # keeps a symbolic link
    text, mode = rewritten(path, key, value), file.stat().st_mode
    with open_atomic(file) as stream:  # bytes: keeps the line ends
        stream.write(text.encode())
    file.chmod(mode)


def rewritten(path: str, key: str, value: float) -> str:
    """Return the text of a config file with a number set at a dotted key.

    Raises:
        UserError: if the file cannot be read, or its layout does not allow the change.
    """
    before = {s.key: s.value for s in flatten(read_yaml(path), path)}
    text = Path(path).read_bytes().decode()  # with its line ends
    number = f"{value:.6g}"
    try:
        changed = _changed(text, key, number)
        after = _settings(changed, path)
    except (UserError, yaml.YAMLError, LookupError) as error:
        raise _by_hand(path, key, number) from error
    if after != {**before, key: float(number)}:
        raise _by_hand(path, key, number)
    return changed


def _by_hand(path: str, key: str, number: str) -> UserError:
    return UserError(
        f"{key} cannot be changed in {path} without changing other lines.",
        key=key,
        hint=f"Set {key}: {number} by hand.",
    )


def _settings(text: str, path: str) -> dict[str, Any]:
    return {s.key: s.value for s in flatten(yaml.load(text, Loader) or {}, path)}  # a SafeLoader


def _changed(text: str, key: str, number: str) -> str:
    root = yaml.compose(text, Loader)
    if root is None:
        return _appended(text, key, number)
    owner, rest = root, key.split(".")
    while isinstance(owner, yaml.MappingNode):
        found = _find(owner, rest)
        if found is None:
            break
        taken, node = found
        rest = rest[taken:]
        if isinstance(node, yaml.ScalarNode):
            return _put(text, node, _instead(text, node, key, rest, number))
        owner = node
    if owner is root or not isinstance(owner, yaml.MappingNode):
        return _appended(text, key, number)  # rewritten() detects a list at the end
    return _inserted(text, owner, _nested(rest, number))


def _instead(text: str, node: yaml.Node, key: str, rest: Sequence[str], number: str) -> str:
    """Return the replacement of a scalar; a bare name becomes a section with that name."""
    section = key.removesuffix("." + ".".join(rest))
    if not rest or section not in NAMED:
        return number
    return f"{{name: {_text(text, node)}, {_nested(rest, number)}}}"


def _find(owner: yaml.MappingNode, keys: Sequence[str]) -> tuple[int, yaml.Node] | None:
    """Return the number of parts of a key that an entry of a mapping matches, and its value."""
    for name, node in reversed(owner.value):
        parts = str(name.value).split(".")
        if list(keys[: len(parts)]) == parts:
            return len(parts), node
    return None


def _nested(keys: Sequence[str], number: str) -> str:
    """Return a nested entry, such as ``base: {lr: 0.1}`` for the keys base and lr."""
    *outer, last = keys
    inner = f"{last}: {number}"
    for name in reversed(outer):
        inner = f"{name}: {{{inner}}}"
    return inner


def _text(text: str, node: yaml.Node) -> str:
    return text[node.start_mark.index : node.end_mark.index]


def _put(text: str, node: yaml.Node, new: str) -> str:
    return text[: node.start_mark.index] + new + text[node.end_mark.index :]


def _inserted(text: str, owner: yaml.MappingNode, entry: str) -> str:
    """Insert an entry as the second of a mapping, because the first is usually the name."""
    if not owner.value:
        at = owner.start_mark.index + 1  # within the braces
        return text[:at] + entry + text[at:]
    if owner.flow_style:
        at = owner.value[0][1].end_mark.index
        return f"{text[:at]}, {entry}{text[at:]}"
    margin = "\n" + " " * owner.value[0][0].start_mark.column
    if len(owner.value) > 1:
        at = owner.value[1][0].start_mark.index
        return text[:at] + entry + _break(text, margin) + text[at:]
    at = text.find("\n", owner.value[0][1].end_mark.index)
    at = len(text) if at < 0 else at - (text[at - 1] == "\r")
    return text[:at] + _break(text, margin) + entry + text[at:]


def _appended(text: str, key: str, number: str) -> str:
    """Append the section at the end."""
    section, *rest = key.split(".")
    end = _break(text, "\n")
    begin = "" if not text or text.endswith("\n") else end
    return f"{text}{begin}{section}: {{{_nested(rest, number)}}}{end}"


def _break(text: str, given: str) -> str:
    return given.replace("\n", "\r\n") if "\r\n" in text else given
