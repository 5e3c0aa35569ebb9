"""``gdl lab``: claims about gradient descent as experiments."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdlightning.errors import UserError, require
from gdlightning.lab.experiment import card, names

if TYPE_CHECKING:
    from gdlightning.lab.run_experiments import Result

GROUP = "explore"
SUMMARY = "Test claims about gradient descent in experiments"
USAGE = "gdl lab run edge-of-stability"


def main(argv: list[str]) -> int:
    """List experiments, or run some or all of them.

    Raises:
        UserError: an experiment does not exist, or an option has an invalid value.
    """
    given = _parser().parse_args(argv)
    if given.names and given.action != "run":
        raise UserError(
            f"gdl lab {given.action} takes no names. To run some experiments, write\n"
            f"gdl lab run {' '.join(given.names)}"
        )
    if given.action == "list":
        print(_list(given.format))
        return 0
    wanted = names() if given.action == "all" else given.names
    if not wanted:
        raise UserError("gdl lab run needs the name of an experiment; gdl lab list lists them.")
    cards = [card(name) for name in wanted]
    for flag, value in (("--seeds", given.seeds), ("--workers", given.workers)):
        if value is not None and value < 1:
            raise UserError(f"{flag} is {value}; write 1 or more.")
    require("sklearn", "data", "The lab's data")
    require("matplotlib", "plots", "Drawing the results of an experiment")
    folder = _folder(given.output)
    from gdlightning.lab.experiment_page import page, record, write
    from gdlightning.lab.run_experiments import run
    from gdlightning.storage.atomic_write import write_text

    results = []
    for one in cards:
        results.append(run(one.name, folder, given.seeds, given.workers))
        write(results[-1], folder)
        if given.format == "text":
            print(_text(results[-1]), end="\n\n", flush=True)
    if given.action == "all":
        write_text(folder / "index.html", page(results))
    if given.format == "json":
        print(json.dumps([record(result) for result in results], indent=2))
    else:
        print(f"Page: {folder / ('index' if given.action == 'all' else wanted[-1])}.html")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gdl lab", description=f"{SUMMARY}: effect size, confidence interval and verdict."
    )
    add = parser.add_argument
    add("action", nargs="?", choices=("list", "run", "all"), default="list")
    add("names", nargs="*", help="experiments to run: gdl lab list")
    add("--seeds", type=int, help="number of seeds (set by each experiment)")
    add("--workers", type=int, help="number of processes (the number of cores)")
    add(
        "--output",
        default="lab",
        metavar="FOLDER",
        help="folder of pages and figures (lab)",
    )
    add("--format", choices=("text", "json"), default="text")
    return parser


def _folder(path: str) -> Path:
    folder = Path(path)
    try:
        (folder / "seeds").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output {path}: the folder cannot be created: {error.strerror}."
        ) from error
    return folder


def _list(format: str) -> str:
    cards = [card(name) for name in names()]
    if format == "json":
        fields: list[dict[str, Any]] = [
            {"name": c.name, "claim": c.claim, "source": c.source, "seeds": c.seeds} for c in cards
        ]
        return json.dumps(fields, indent=2)
    width = max(len(c.name) for c in cards)
    return "\n".join(f"{c.name:<{width}}  {c.claim}" for c in cards)


def _text(result: Result) -> str:
    known, outcome = result.card, result.outcome
    lines = [f"{known.title}: {outcome.verdict.value.upper()}", f"  Claim: {known.claim}"]
    lines += textwrap.wrap(outcome.words, 96, initial_indent="  ", subsequent_indent="  ")
    width = max(len(e.what) for e in outcome.effects)
    lines += [
        f"  {e.what:<{width}}  {e}" + (f"  [expected: {e.expected}]" if e.expected else "")
        for e in outcome.effects
    ]
    return "\n".join(lines)
