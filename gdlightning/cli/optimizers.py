"""``gdl optimizers``: what exists, what each needs, and every option of one."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from gdlightning.cli.optimizer_tables import SORTS, chosen, listing, page
from gdlightning.discovery import import_module
from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.benchmark_table import measured
from gdlightning.optimizers.entry import CLAUSES, NEEDS, Entry
from gdlightning.optimizers.registry import entries, find, installed


def main(argv: list[str]) -> int:
    """List optimizers, or explain one.

    Raises:
        UserError: nothing matches.
    """
    if argv[:1] == ["show"]:
        return _show(argv[1:])
    if argv[:1] == ["prove"]:
        from gdlightning.cli.optimizer_check import main as prove

        return prove(argv[1:])
    parser = argparse.ArgumentParser(
        "gdl optimizers", description="List optimizers by name, and by what was measured of them."
    )
    parser.add_argument("pattern", nargs="?", default="*", help="a shell pattern, e.g. 'ada*'")
    parser.add_argument("--sort", default="name", help=f"by one of {', '.join(SORTS)}")
    parser.add_argument("--can", default="", help=f"those that can do all of {', '.join(CLAUSES)}")
    parser.add_argument("--needs", default="", help="none, or those with one of these needs")
    parser.add_argument("--family", default="", help="those of a family, e.g. second-order")
    parser.add_argument("--licence", default="", help="permissive, or part of a licence's name")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    parser.add_argument("--imports", action="append", default=[], help="a module to import first")
    given = parser.parse_args(argv)
    _import(given.imports)
    found = chosen(entries(given.pattern), given)
    if not found:
        names = [e.name for e in entries()]
        near = did_you_mean(given.pattern, names) if given.pattern != "*" else ""
        raise UserError(f"No optimizer matches {given.pattern} and all that is asked for.{near}")
    if given.format == "json":
        print(json.dumps([record(e) for e in found], indent=2))
    elif given.format == "markdown":
        print(page(found))
    else:
        print(listing(found))
    return 0


def record(entry: Entry) -> dict[str, Any]:
    """An entry as plain values for JSON."""
    facts = measured(entry)
    return {
        "name": entry.name,
        "summary": entry.summary,
        "family": entry.family,
        "library": entry.package,
        "target": entry.target,
        "aliases": list(entry.aliases),
        "use": entry.use,
        "paper": entry.paper,
        "licence": entry.licence,
        "commercial": entry.commercial,
        "needs": list(entry.needs),
        "refused": entry.refused,
        "defaults": dict(entry.defaults),
        "rule": entry.rule,
        "deviation": entry.deviation,
        "cannot": dict(entry.cannot),
        "installed": installed(entry),
        "measured": None if facts is None else vars(facts),
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
        "update": entry.rule,
        "paper": entry.paper,
        "departs": entry.deviation,
        "defaults": _origin(entry),
        "licence": entry.licence + ("" if entry.commercial else " (no commercial use)"),
        "needs": "; ".join(NEEDS[n] for n in entry.needs)
        + (" (met by itself)" if entry.needs else ""),
        "refused": entry.refused,
        **_measured(entry),
    }
    for name, text in facts.items():
        if text:
            wrapped = [w for line in text.split("\n") for w in textwrap.wrap(line, 84)]
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


def _origin(entry: Entry) -> str:
    """Where the defaults come from."""
    other = ", ".join(f"{k} {v}" for k, v in entry.defaults.items())
    return f"those of {entry.package}" + (f", but for {other}" if other else "")


def _measured(entry: Entry) -> dict[str, str]:
    facts = measured(entry)
    if facts is None:
        return {"can't": "; ".join(f"{CLAUSES[k]}: {why}" for k, why in entry.cannot.items())}
    found = {
        "can": "; ".join(CLAUSES[k] for k in facts.kept),
        "can't": "\n".join(f"{k}: {entry.cannot.get(k, seen)}" for k, seen in facts.broken.items()),
    }
    if facts.bytes_per_parameter is not None and facts.step_ratio is not None:
        found["memory"] = f"{facts.bytes_per_parameter:.1f} bytes of state a parameter"
        found["time"] = f"a training step takes {facts.step_ratio:.2f} times that of fused AdamW"
    if facts.loss is not None:
        before, after = facts.loss
        found["learns"] = (
            f"small digits, 200 steps at its defaults: loss {before:.3g} → {after:.3g}"
        )
    return found


def _default(value: Any, required: bool) -> Any:
    if required:
        return "(required)"
    return list(value) if isinstance(value, tuple) else value


def _import(modules: list[str]) -> None:
    for module in modules:
        import_module(module, f"--imports: {module}")
