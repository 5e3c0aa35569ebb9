"""``gdl list``: what can be named in a config."""

from __future__ import annotations

import argparse
import inspect
import json
from typing import Any

KINDS = ("model", "net", "data", "clip", "wrapper", "callback")


def main(argv: list[str]) -> int:
    """List tasks, nets, data modules, ways of clipping, wrappers or callbacks, with a line each."""
    parser = argparse.ArgumentParser("gdl list", description="What can be named in a config.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)
    found = records(given.kind)
    if given.format == "json":
        print(json.dumps(found, indent=2))
        return 0
    width = max(len(r["name"]) for r in found)
    for record in found:
        print(f"{record['name'].ljust(width)}  {record['summary']}")
    if given.kind == "callback":
        print("\nIn a config: callbacks: [{name: early-stopping, monitor: val_loss}]")
        return 0
    if given.kind == "wrapper":
        print("\nIn a config: optimizer: {name: adamw, wrappers: [{name: lookahead, k: 5}]}")
        return 0
    section = "model.net" if given.kind == "net" else given.kind
    print(f"\nThe options of one: gdl fit --{section}.help {found[0]['name']}")
    return 0


def records(kind: str) -> list[dict[str, Any]]:
    """Name, class and summary of every choice of a kind."""
    from gdlightning.clipping import find, names
    from gdlightning.config import sections as choices
    from gdlightning.optimizers.wrappers import WRAPPERS
    from gdlightning.runs import config_callbacks as extra
    from gdlightning.tasks.catalogues import NETS, TASKS

    if kind == "clip":
        pairs = [(name, find(name)) for name in names()]
    elif kind == "callback":
        pairs = sorted(extra.names().items())
    else:
        catalogue = {"model": TASKS, "net": NETS, "data": choices.DATA,
                     "wrapper": WRAPPERS}[kind]  # fmt: skip
        pairs = [(name, catalogue.find(name)) for name in catalogue.names()]
    return [
        {
            "name": name,
            "summary": (inspect.getdoc(cls) or "").split("\n")[0],
            "class": f"{cls.__module__}.{cls.__qualname__}",
        }
        for name, cls in pairs
    ]
