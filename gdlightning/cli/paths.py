"""``gdl paths``: race optimizers on a test function."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from gdlightning.errors import UserError, did_you_mean, fold, require

if TYPE_CHECKING:
    from gdlightning.races.race import Track
    from gdlightning.races.test_functions import Function

GROUP = "explore"
SUMMARY = "Race optimizers on a test function"
USAGE = "gdl paths rosenbrock --optimizers adam,sgd"

DEFAULT_OPTIMIZERS = "gd,momentum,sgd,rmsprop,adam,lion"
LR_MODES = ("tuned", "default")


def main(argv: list[str]) -> int:
    """List the test functions, or race optimizers on one.

    Raises:
        UserError: a name does not exist, or an option has an invalid value.
    """
    given = _parser().parse_args(argv)
    from gdlightning.races.race_files import describe, race_record, write_race
    from gdlightning.races.test_functions import FUNCTIONS, find

    if given.function == "list":
        known = [describe(function) for function in FUNCTIONS]
        width = max(len(f["name"]) for f in known)
        text = "\n".join(f"{f['name']:<{width}}  {f['summary']}: {f['formula']}" for f in known)
        print(json.dumps(known, indent=2) if given.format == "json" else text)
        return 0
    function = find(given.function)
    require("matplotlib", "plots", "Drawing a race")
    rates, names = _rates(given.lr), _names(given.optimizers)
    _check(given, rates, names)
    from gdlightning.races.race_field import race_all

    schedule = {"name": given.schedule, "warmup": given.warmup}
    tracks, left_out = race_all(
        function, names, rates, steps=given.steps, seed=given.seed, schedule=schedule
    )
    if not tracks:
        first = "\n".join(list(left_out.values())[:2])
        raise UserError(f"None of these optimizers can take part in a race.\n{first}")
    files = write_race(function, tracks, left_out, Path(given.output), given.tensorboard)
    if given.format == "json":
        print(json.dumps(race_record(function, tracks, left_out, files), indent=2))
    else:
        print(_text(function, tracks, left_out, files))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gdl paths",
        description=f"{SUMMARY}: paths, values and steps to the minimum.",
    )
    add = parser.add_argument
    add(
        "function",
        nargs="?",
        default="list",
        help="name of a function; all are listed if not given",
    )
    add("--optimizers", default=DEFAULT_OPTIMIZERS, help="comma-separated names, or all")
    add(
        "--lr",
        action="append",
        nargs="+",
        default=[],
        metavar="[NAME=]LR",
        help="a learning rate, or tuned (the best of a grid), or default (the optimizer's own); "
        "for one of them: adam=0.01. Tuned if not given",
    )
    add("--schedule", default="constant", help="a schedule's name: gdl schedules")
    add("--warmup", default="0", help="steps, 10%% or 2 epochs, in front of it")
    add("--steps", type=int, default=500)
    add("--seed", type=int, default=0, help="seed of the noise (0)")
    add("--output", default="paths", help="a folder (paths)")
    add("--tensorboard", action="store_true", help="also log values and figure to TensorBoard")
    add("--format", choices=("text", "json"), default="text")
    return parser


def _names(given: str) -> list[str]:
    from gdlightning.optimizers.registry import entries, find

    if given == "all":
        return [entry.name for entry in entries()]
    names = [find(name.strip()).name for name in given.split(",") if name.strip()]
    if not names:
        raise UserError("--optimizers is empty; write, for example, --optimizers adam,sgd.")
    return list(dict.fromkeys(names))


def _rates(given: list[list[str]]) -> dict[str, float | str]:
    """Return learning rate or one of ``LR_MODES`` per optimizer; the empty name is for all."""
    found: dict[str, float | str] = {"": "tuned"}
    for text in (t for group in given for part in group for t in part.split(",")):
        name, _, value = text.rpartition("=")
        try:
            rate: float | str = value if value in LR_MODES else float(value)
        except ValueError:
            rate = math.nan
        if isinstance(rate, float) and not 0 <= rate < math.inf:
            raise UserError(
                f"--lr {text}: write a number of 0 or more, tuned or default; for one optimizer "
                "alone: --lr adam=0.01"
            )
        found[fold(name)] = rate
    return found


def _check(given: argparse.Namespace, rates: dict[str, float | str], names: list[str]) -> None:
    from gdlightning.optimizers.registry import find
    from gdlightning.schedules import Schedule

    for key, least in {"steps": 2, "seed": 0}.items():
        if getattr(given, key) < least:
            raise UserError(f"--{key} is {getattr(given, key)}; write {least} or more.")
    for name in [n for n in rates if n]:
        own = find(name).name
        if own not in names:
            raise UserError(
                f"--lr names {own}, which is not in --optimizers.{did_you_mean(name, names)}"
            )
        rates[own] = rates.pop(name)
    Schedule(given.schedule, warmup=given.warmup).warmup_steps(given.steps)


def _text(
    function: Function, tracks: list[Track], left_out: dict[str, str], files: list[Path]
) -> str:
    from gdlightning.races.race_files import race_title
    from gdlightning.races.race_page import HEADER, row

    rows = [HEADER, *([str(cell) for cell in row(function, track)] for track in tracks)]
    widths = [max(len(line[k]) for line in rows) for k in range(len(HEADER))]
    lines = [
        "  ".join(
            c.ljust(w) if k == 0 else c.rjust(w)
            for k, (c, w) in enumerate(zip(r, widths, strict=True))
        ).rstrip()
        for r in rows
    ]
    notes = [f"left out: {why}" for why in left_out.values()]
    rule = f"steps: until within {function.near:g} of a minimum for good; gradients until then."
    head = [f"{race_title(function, tracks)}: {function.formula}", ""]
    tail = ["", "Written:", *(f"  {file}" for file in files)]
    return "\n".join([*head, *lines, "", rule, *notes, *tail])
