"""An optimizer's entry and options, as plain values and as text."""

from __future__ import annotations

import textwrap
from typing import Any

from gdlightning.optimizers.benchmark_table import measured
from gdlightning.optimizers.entry import CLAUSES, NEEDS, Entry
from gdlightning.optimizers.registry import installed


def record(entry: Entry) -> dict[str, Any]:
    """Return an entry as plain values for JSON."""
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


def explain(entry: Entry) -> str:
    """Return an entry and its options for the terminal."""
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
        + (" (met automatically)" if entry.needs else ""),
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
        default = default_of(option.default, option.required)
        lines.append(
            f"  {option.name.ljust(width)}  {option.type_name.ljust(min(kinds, 28))}  "
            f"{default!s:12}  {option.help.replace('`', '')}".rstrip()
        )
    return "\n".join(lines)


def _origin(entry: Entry) -> str:
    """Return where the defaults come from."""
    other = ", ".join(f"{k} {v}" for k, v in entry.defaults.items())
    return f"those of {entry.package}" + (f", except {other}" if other else "")


def _measured(entry: Entry) -> dict[str, str]:
    facts = measured(entry)
    if facts is None:
        return {"can't": "; ".join(f"{CLAUSES[k]}: {why}" for k, why in entry.cannot.items())}
    found = {
        "can": "; ".join(CLAUSES[k] for k in facts.kept),
        "can't": "\n".join(f"{k}: {entry.cannot.get(k, seen)}" for k, seen in facts.broken.items()),
    }
    if facts.bytes_per_parameter is not None and facts.step_ratio is not None:
        found["memory"] = f"{facts.bytes_per_parameter:.1f} bytes of state per parameter"
        found["time"] = f"a training step takes {facts.step_ratio:.2f} times that of fused AdamW"
    if facts.loss is not None:
        before, after = facts.loss
        found["learns"] = (
            f"small digits, 200 steps at its defaults: loss {before:.3g} → {after:.3g}"
        )
    return found


def default_of(value: Any, required: bool) -> Any:
    """Return a default as JSON can hold it; ``(required)`` if there is none."""
    if required:
        return "(required)"
    return list(value) if isinstance(value, tuple) else value
