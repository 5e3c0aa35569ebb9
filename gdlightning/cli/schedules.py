"""``gdl schedules``: list and draw learning-rate schedules."""

from __future__ import annotations

import argparse
import fnmatch
import inspect
import json
from pathlib import Path
from typing import Any

from gdlightning.errors import UserError, did_you_mean
from gdlightning.schedules import Schedule, find, names, options
from gdlightning.schedules.schedule_figure import curve, draw_png, draw_text
from gdlightning.signature import options_of

GROUP = "look up"
SUMMARY = "List and draw learning-rate schedules"
USAGE = "gdl schedules [PATTERN] [--png FILE]"


def main(argv: list[str]) -> int:
    """List schedules with a drawing each, as JSON, or as a PNG.

    Raises:
        UserError: nothing matches, or an option has an invalid value.
    """
    parser = argparse.ArgumentParser("gdl schedules", description=f"{SUMMARY}.")
    parser.add_argument("pattern", nargs="?", default="*", help="a name, or a pattern: 'cos*'")
    parser.add_argument("--warmup", default="0", help="warmup: steps, 10%% or 2 epochs")
    parser.add_argument("--png", help="draw them to this file")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)
    wanted = given.pattern.replace("-", "_")
    found = [n for n in names() if fnmatch.fnmatch(n, wanted)]
    if not found:
        raise UserError(f"No schedule matches {given.pattern}.{did_you_mean(wanted, names())}")
    if given.format == "json":
        print(json.dumps([record(name) for name in found], indent=2))
        return 0
    drawn = {name: Schedule(name, warmup=given.warmup) for name in found}
    if given.png:
        path = Path(given.png)
        if not path.absolute().parent.is_dir():
            raise UserError(f"--png {path}: the folder does not exist.")
        draw_png(drawn, path)
        print(f"Drew {len(drawn)} schedules to {path}")
        return 0
    for name, schedule in drawn.items():
        facts = record(name)
        settings = ", ".join(f"{o['name']} {o['default']}" for o in facts["options"])
        print(f"{name}: {facts['summary']}" + (f"  [{settings}]" if settings else ""))
        print(draw_text(curve(schedule)), end="\n\n")
    print("Each can start with a warmup: schedule.warmup: 500 (steps), 10%, or '2 epochs'.")
    return 0


def record(name: str) -> dict[str, Any]:
    """Return name, summary and options of a schedule as plain values."""
    decay = find(name)
    module = inspect.getmodule(decay)
    described = options_of(decay)
    return {
        "name": name,
        "summary": ((module.__doc__ if module else "") or "").strip().split("\n")[0].rstrip("."),
        "options": [
            {
                "name": k,
                "type": described[k].type_name if k in described else str(p.annotation),
                "default": p.default,
                "help": described[k].help if k in described else "",
            }
            for k, p in options(name).items()
        ],
    }
