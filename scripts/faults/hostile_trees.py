"""Ways to damage JSON, JSON lines and YAML: values of other types, nesting, encodings."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_base import damaged

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    5,
    -1,
    0.5,
    2**31,
    2**62,
    2**64,
    10**400,
    1e300,
    -1e300,
    5e-324,
    "",
    "x",
    "5",
    "1e400",
    "\0",
    "\ud800",
    "a" * 5000,
    "../../x",
    "/",
    [],
    [1],
    [None],
    [[[]]],
    ["a"] * 3,
    [0] * 5000,
    {},
    {"a": 1},
    {"": None},
    {"a": {"b": [1]}},
    float("nan"),
    float("inf"),
]
KINDS: dict[str, bytes] = {
    "a PNG": b"\x89PNG\r\n\x1a\n" + bytes(99),
    "a zip": b"PK\x03\x04" + bytes(99),
    "a pickle": b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.",
    "a database": b"SQLite format 3\0" + bytes(99),
    "HTML": b"<!doctype html><p>404",
    "a number": b"5",
    "a text": b'"x"',
    "null": b"null",
    "a list": b"[1, 2]",
    "a mapping": b"{}",
    "spaces": b" \n\n ",
    "NUL bytes": bytes(500),
    "a long line": b"x" * 1_000_000,
}
TEXTS: dict[str, Callable[[str], str]] = {
    "keys twice": lambda t: t.replace("{", '{"step": 1, "step": 2, ', 1),
    "deep lists": lambda t: "[" * 100_000, "deep mappings": lambda t: '{"a":' * 100_000,
    "deep value": lambda t: t.replace(": ", ": " + "[" * 20_000 + "]" * 20_000 + ', "b": ', 1),
    "a mark": lambda t: "\ufeff" + t, "a comma more": lambda t: t.replace("}", ",}", 1),
    "huge numbers": lambda t: t.replace("1", "1" * 400), "exponents": lambda t: t.replace("0.", "1e9990."),
    "NaN": lambda t: t.replace(": 0", ": NaN"), "Infinity": lambda t: t.replace(": 0", ": -Infinity"),
    "texts for numbers": lambda t: t.replace(": 0.", ': "0.'), "carriage returns": lambda t: t.replace("\n", "\r"),
    "comments": lambda t: t.replace("\n", " // x\n"), "twice": lambda t: t + t, "a half": lambda t: t[len(t) // 2 :],
}  # fmt: skip


def changed(tree: Any, chance: random.Random) -> Any:
    """Return the tree with one node replaced, removed or wrapped."""
    if isinstance(tree, dict | list) and tree and chance.random() < 0.8:
        made = tree.copy()
        key = chance.choice(list(tree)) if isinstance(tree, dict) else chance.randrange(len(tree))
        way = chance.random()
        if way < 0.15:
            del made[key]
        elif way < 0.25 and isinstance(made, dict):
            made[chance.choice(["", "x", "step", "\0", "a.b"])] = made.pop(key)
        elif way < 0.3 and isinstance(made, list):
            made += made
        else:
            made[key] = changed(made[key], chance)
        return made
    return [tree] if chance.random() < 0.1 else chance.choice(ODD)


def _tree(text: str, suffix: str, chance: random.Random) -> str:
    """Return the text with some values changed."""
    if suffix in (".yaml", ".yml"):
        import yaml

        found = yaml.safe_load(text)
        for _ in range(chance.choice((1, 1, 2, 5))):
            found = changed(found, chance)
        return yaml.safe_dump(found, allow_unicode=True)
    if suffix == ".json":
        found = json.loads(text)
        for _ in range(chance.choice((1, 1, 2, 5))):
            found = changed(found, chance)
        return json.dumps(found)
    lines = text.splitlines()
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(lines))
        lines[at] = json.dumps(changed(json.loads(lines[at]), chance), separators=(",", ":"))
    return "\n".join(lines) + "\n"


TREES = (".json", ".jsonl", ".log", ".yaml", ".yml")


def spoil(path: Path, chance: random.Random) -> str:
    """Damage a file in place, and return a description."""
    raw, way = path.read_bytes(), chance.random()
    if path.suffix in TREES and way < 0.5:
        path.write_text(_tree(raw.decode(), path.suffix, chance), errors="surrogatepass")
        return f"{path.name}: values changed"
    if path.suffix in (*TREES, ".csv") and way < 0.65:
        what = chance.choice(list(TEXTS))
        path.write_text(TEXTS[what](raw.decode()))
    elif 0.65 <= way < 0.75:
        what = chance.choice(list(KINDS))
        path.write_bytes(KINDS[what])
    elif 0.75 <= way < 0.78:
        what = "a folder"
        path.unlink()
        path.mkdir()
    elif 0.78 <= way < 0.8:
        what = "a link to itself"
        path.unlink()
        path.symlink_to(path)
    else:
        found, what = damaged(raw, chance)
        path.write_bytes(found)
    return f"{path.name}: {what}"


def copied(source: Path, target: Path) -> Path:
    """Copy a folder of the base, to be damaged."""
    shutil.copytree(source, target)
    return target
