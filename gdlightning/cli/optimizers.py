"""``gdl optimizers``: what exists, what each needs, and every option of one."""

from __future__ import annotations

import argparse
import importlib
import json
import textwrap
from typing import Any

from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.entry import NEEDS, Entry
from gdlightning.optimizers.registry import entries, find


def main(argv: list[str]) -> int:
    """List optimizers, or explain one.

    Raises:
        UserError: nothing matches.
    """
    if argv[:1] == ["show"]:
        return _show(argv[1:])
    parser = argparse.ArgumentParser("gdl optimizers", description="List optimizers by name.")
    parser.add_argument("pattern", nargs="?", default="*", help="a shell pattern, e.g. 'ada*'")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--imports", action="append", default=[], help="a module to import first")
    given = parser.parse_args(argv)
    _import(given.imports)
    found = entries(given.pattern)
    if not found:
        names = [e.name for e in entries()]
        raise UserError(
            f"No optimizer matches {given.pattern}.{did_you_mean(given.pattern, names)}"
        )
    if given.format == "json":
        print(json.dumps([record(e) for e in found], indent=2))
        return 0
    width = max(len(e.name) for e in found)
    for entry in found:
        marks = [*entry.needs, *(() if entry.commercial else ("non-commercial licence",))]
        if entry.refused:
            marks.append("can't be used here")
        needs = f"  [{', '.join(marks)}]" if marks else ""
        print(f"{entry.name.ljust(width)}  {entry.summary}{needs}")
    print(f"\n{len(found)} optimizers. One in full: gdl optimizers show {found[0].name}")
    return 0


def record(entry: Entry) -> dict[str, Any]:
    """An entry as plain values for JSON."""
    return {
        "name": entry.name,
        "summary": entry.summary,
        "family": entry.family,
        "library": entry.library,
        "target": entry.target,
        "aliases": list(entry.aliases),
        "use": entry.use,
        "paper": entry.paper,
        "licence": entry.licence,
        "commercial": entry.commercial,
        "needs": list(entry.needs),
        "refused": entry.refused,
        "defaults": dict(entry.defaults),
    }


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
            {"name": o.name, "type": o.type_name, "default": _default(o.default, o.required),
             "help": o.help}
            for o in known.values()
        ]  # fmt: skip
        print(json.dumps(record(entry) | {"options": listed}, indent=2))
        return 0
    print(explain(entry))
    return 0


def explain(entry: Entry) -> str:
    """An entry and its options for the terminal."""
    from gdlightning.optimizers.options import options

    lines = [f"{entry.name}: {entry.summary}", ""]
    facts = {
        "when to use": entry.use,
        "family": entry.family,
        "class": entry.target.replace(":", "."),
        "also named": ", ".join(entry.aliases),
        "paper": entry.paper,
        "licence": entry.licence + ("" if entry.commercial else " (no commercial use)"),
        "needs": "; ".join(NEEDS[n] for n in entry.needs)
        + (" (met by itself)" if entry.needs else ""),
        "refused": entry.refused,
    }
    for name, text in facts.items():
        if text:
            wrapped = textwrap.wrap(text, 84)
            lines += [f"  {name.ljust(12)} {wrapped[0]}"] + [" " * 15 + w for w in wrapped[1:]]
    known = options(entry)
    lines += ["", "options, as --optimizer.OPTION or in YAML under optimizer:"]
    width = max((len(o.name) for o in known.values()), default=0)
    kinds = max((len(o.type_name) for o in known.values()), default=0)
    for option in known.values():
        default = _default(option.default, option.required)
        lines.append(
            f"  {option.name.ljust(width)}  {option.type_name.ljust(min(kinds, 28))}  "
            f"{default!s:12}  {option.help}".rstrip()
        )
    return "\n".join(lines)


def _default(value: Any, required: bool) -> Any:
    if required:
        return "(required)"
    return list(value) if isinstance(value, tuple) else value


def _import(modules: list[str]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"--imports: {module} can't be imported: {error}.") from error
