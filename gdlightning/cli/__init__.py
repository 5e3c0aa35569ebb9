"""The verbs of the command ``gdl``: one file per verb, found without a list.

A verb's file has a ``main(argv) -> int`` and the constants ``GROUP``, ``SUMMARY`` and ``USAGE``.
They are string literals: the table of verbs is read without importing the files, some of which are
slow to import.
"""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gdlightning.errors import UserError, did_you_mean

GROUPS = ("train", "use", "understand", "choose", "explore", "look up", "extend")
"""The order of groups in help and documentation; other groups follow."""


@dataclass(frozen=True)
class Verb:
    """A row of the table of verbs.

    Args:
        name: the verb as it is typed.
        module: name of its module.
        group: what the verb is for; verbs of a group are listed together.
        summary: what it does, in one line.
        usage: an example.
    """

    name: str
    module: str
    group: str
    summary: str
    usage: str


def verb_modules() -> dict[str, str]:
    """Return the module of each verb by the verb's name; no file is read."""
    return {
        found.name.replace("_", "-"): f"{__name__}.{found.name}"
        for found in pkgutil.iter_modules(__path__)
        if not found.ispkg
    }


def verbs() -> list[Verb]:
    """Return all verbs, ordered by group, without importing them."""
    found = [_read(name, module) for name, module in verb_modules().items()]
    order = {group: position for position, group in enumerate(GROUPS)}
    return sorted(found, key=lambda v: (order.get(v.group, len(order)), v.group, v.name))


def run_verb(verb: str, arguments: list[str]) -> int:
    """Import a verb and run it.

    Raises:
        UserError: there is no such verb, or the verb raises an error.
    """
    known = verb_modules()
    if verb not in known:
        if verb.startswith("-"):
            hint = did_you_mean(verb, ("--version", "--help"))
            raise UserError(f"gdl has no option {verb}.{hint}\ngdl --help lists all verbs.")
        names = ", ".join(v.name for v in verbs())
        raise UserError(f"There is no verb {verb}.{did_you_mean(verb, known)}\nVerbs: {names}")
    if os.getcwd() not in sys.path:  # a config may name modules of the current folder
        sys.path.insert(0, os.getcwd())
    code: int = importlib.import_module(known[verb]).main(arguments)
    return code


def table() -> str:
    """Return the table of verbs as Markdown."""
    rows = [f"| `gdl {v.name}` | {v.summary} | `{_escaped(v.usage)}` |" for v in verbs()]
    return "\n".join(["| verb | what it does | example |", "|---|---|---|", *rows])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _read(name: str, module: str) -> Verb:
    """Read the constants of a verb's file."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    source, _, _ = Path(spec.origin).read_text(encoding="utf-8").partition("\ndef ")
    constants = {
        target.id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    fields = (str(constants.get(key, "")) for key in ("GROUP", "SUMMARY", "USAGE"))
    return Verb(name, module, *fields)
