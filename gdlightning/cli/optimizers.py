"""``gdl optimizers``: list, explain and test optimizers."""

from __future__ import annotations

import argparse
import json

from gdlightning.cli.printing.optimizer_details import default_of, explain, record
from gdlightning.cli.printing.optimizer_tables import SORTS, chosen, listing, page
from gdlightning.discovery import import_module
from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.entry import CLAUSES
from gdlightning.optimizers.registry import entries, find

GROUP = "look up"
SUMMARY = "List optimizers, or explain one"
USAGE = "gdl optimizers [PATTERN | show NAME | prove NAME]"


def main(argv: list[str]) -> int:
    """List optimizers, or explain one.

    Raises:
        UserError: nothing matches.
    """
    if argv[:1] == ["show"]:
        return _show(argv[1:])
    if argv[:1] == ["prove"]:
        return _prove(argv[1:])
    parser = argparse.ArgumentParser(
        "gdl optimizers", description="List optimizers by name, capabilities and measurements."
    )
    parser.add_argument("pattern", nargs="?", default="*", help="a shell pattern, e.g. 'ada*'")
    parser.add_argument("--sort", default="name", help=f"sort by {', '.join(SORTS)}")
    parser.add_argument("--can", default="", help=f"only those with all of {', '.join(CLAUSES)}")
    parser.add_argument("--needs", default="", help="one of these needs, or none")
    parser.add_argument("--family", default="", help="only those of a family, e.g. second-order")
    parser.add_argument("--licence", default="", help="permissive, or part of a licence's name")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    parser.add_argument("--imports", action="append", default=[], help="a module to import first")
    given = parser.parse_args(argv)
    _import(given.imports)
    found = chosen(entries(given.pattern), given)
    if not found:
        names = [e.name for e in entries()]
        near = did_you_mean(given.pattern, names) if given.pattern != "*" else ""
        raise UserError(f"No optimizer matches {given.pattern} and all filters.{near}")
    if given.format == "json":
        print(json.dumps([record(e) for e in found], indent=2))
    elif given.format == "markdown":
        print(page(found))
    else:
        print(listing(found))
    return 0


def _show(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("gdl optimizers show", description="Explain one optimizer.")
    parser.add_argument("name")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--imports", action="append", default=[], help="a module to import first")
    given = parser.parse_args(argv)
    _import(given.imports)
    from gdlightning.optimizers.options import options

    entry = find(given.name)
    known = options(entry)
    if given.format == "json":
        listed = [
            {
                "name": o.name,
                "type": o.type_name,
                "default": default_of(o.default, o.required),
                "help": o.help,
            }
            for o in known.values()
        ]
        print(json.dumps(record(entry) | {"options": listed}, indent=2))
        return 0
    print(explain(entry))
    return 0


def _prove(argv: list[str]) -> int:
    """Test every clause of the contract; return 1 if one fails without a documented reason.

    Raises:
        UserError: the optimizer does not exist, or is not supported.
    """
    parser = argparse.ArgumentParser(
        "gdl optimizers prove",
        description="Test an optimizer against the contract.",
    )
    parser.add_argument("name")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--imports", action="append", default=[], help="a module to import first")
    given = parser.parse_args(argv)
    _import(given.imports)
    from gdlightning.conformance.conformance_record import examine
    from gdlightning.conformance.ranks import two_ranks
    from gdlightning.conformance.training_check import quiet

    entry = find(given.name)
    if entry.refused:
        raise UserError(f"{entry.name} is not supported: {entry.refused}.")
    quiet()
    record = examine(entry)
    two_ranks([entry.name], lambda _, seen: record.note("ddp", seen), imports=given.imports)
    wrong = record.against(entry)
    if given.format == "json":
        print(json.dumps(vars(record) | {"against": wrong}, indent=2))
        return min(1, len(wrong))
    for clause, text in CLAUSES.items():
        seen = record.broken.get(clause)
        mark = "yes" if seen is None else "no "
        note = "" if seen is None else f": {entry.cannot.get(clause, seen)}"
        print(f"  {mark}  {text}{note}")
    if record.loss is not None and record.step_ratio is not None:
        print(
            f"\n{entry.name}: loss {record.loss[0]:.3g} → {record.loss[1]:.3g} in 200 steps, "
            f"{record.bytes_per_parameter:.1f} bytes of state per parameter, step time "
            f"{record.step_ratio:.2f}× that of fused AdamW."
        )
    return min(1, len(wrong))


def _import(modules: list[str]) -> None:
    for module in modules:
        import_module(module, f"--imports: {module}")
