"""``gdl list``: the names that a config can use."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gdlightning.errors import UserError

GROUP = "look up"
SUMMARY = "List the names that a config can use"
USAGE = "gdl list model|net|data|optimizer|schedule|clip|wrapper|callback|config|verb"


def main(argv: list[str]) -> int:
    """List all names of a kind with a summary each.

    Raises:
        UserError: there is nothing of this kind to list.
    """
    parser = argparse.ArgumentParser("gdl list", description=f"{SUMMARY}.")
    parser.add_argument("kind", choices=tuple(KINDS))
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)
    records, hint = KINDS[given.kind]
    found = records(given.kind)
    if given.format == "json":
        print(json.dumps(found, indent=2))
        return 0
    if not found:
        raise UserError(f"There is no {given.kind} to list. {hint}")
    width = max(len(r["name"]) for r in found)
    for record in found:
        print(f"{record['name'].ljust(width)}  {record['summary']}".rstrip())
    print(f"\n{hint.replace('NAME', found[0]['name'])}")
    return 0


def _classes(kind: str) -> list[dict[str, Any]]:
    """Return name, class and summary of every class of a kind."""
    from gdlightning.clipping import find, names
    from gdlightning.config import sections
    from gdlightning.optimizers.wrappers import WRAPPERS
    from gdlightning.runs import config_callbacks
    from gdlightning.tasks.catalogues import NETS, TASKS

    if kind == "clip":
        pairs = [(name, find(name)) for name in names()]
    elif kind == "callback":
        pairs = sorted(config_callbacks.names().items())
    else:
        catalogue = {
            "model": TASKS,
            "net": NETS,
            "data": sections.DATA,
            "wrapper": WRAPPERS,
        }[kind]
        pairs = [(name, catalogue.find(name)) for name in catalogue.names()]
    return [
        {
            "name": name,
            "summary": (inspect.getdoc(cls) or "").split("\n")[0],
            "class": f"{cls.__module__}.{cls.__qualname__}",
        }
        for name, cls in pairs
    ]


def _optimizers(_: str) -> list[dict[str, Any]]:
    from gdlightning.optimizers.registry import entries

    return [{"name": e.name, "summary": e.summary, "class": e.target} for e in entries()]


def _schedules(_: str) -> list[dict[str, Any]]:
    from gdlightning.cli.schedules import record
    from gdlightning.schedules import names

    return [{k: record(name)[k] for k in ("name", "summary")} for name in names()]


def _configs(_: str) -> list[dict[str, Any]]:
    """Return installed configs and YAML files of the folder, with their first comments."""
    from gdlightning.config.shipped_configs import shipped_configs

    found = []
    named = [(path.stem, path) for path in shipped_configs()]
    for name, path in [*named, *((str(p), p) for p in sorted(Path().glob("*.yaml")))]:
        with path.open(encoding="utf-8", errors="replace") as stream:
            first = stream.readline().strip()
        comment = first.lstrip("# ") if first.startswith("#") else ""
        found.append({"name": name, "summary": comment})
    return found


def _verbs(_: str) -> list[dict[str, Any]]:
    from gdlightning.cli import verbs

    return [vars(verb) for verb in verbs()]


KINDS: dict[str, tuple[Callable[[str], list[dict[str, Any]]], str]] = {
    "model": (_classes, "The options of one: gdl fit --model.help NAME"),
    "net": (_classes, "The options of one: gdl fit --model.net.help NAME"),
    "data": (_classes, "The options of one: gdl fit --data.help NAME"),
    "optimizer": (_optimizers, "One in full: gdl optimizers show NAME"),
    "schedule": (_schedules, "A drawing: gdl schedules NAME"),
    "clip": (_classes, "The options of one: gdl fit --clip.help NAME"),
    "wrapper": (
        _classes,
        "In a config: optimizer: {name: adamw, wrappers: [{name: lookahead, k: 5}]}",
    ),
    "callback": (
        _classes,
        "In a config: callbacks: [{name: early-stopping, monitor: val_loss}]",
    ),
    "config": (
        _configs,
        "Installed configs by name, and files of the current folder. Train one: gdl fit -c NAME",
    ),
    "verb": (_verbs, "Explain one: gdl help NAME"),
}
"""Kind → a function that returns its records, and a hint on what to do with a name."""
