"""Listings of optimizers by what is known and what was measured of them."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.atlas import conditions, measured
from gdlightning.optimizers.entry import CLAUSES, NEEDS, Entry

PERMISSIVE = ("MIT", "BSD", "Apache", "ISC", "Unlicense")

SORTS: dict[str, Callable[[Entry], float | str]] = {
    "name": lambda e: e.name,
    "memory": lambda e: _number(e, "bytes_per_parameter"),
    "time": lambda e: _number(e, "step_ratio"),
    "loss": lambda e: facts.loss[1] if (facts := measured(e)) and facts.loss else math.inf,
}


def chosen(found: Iterable[Entry], given: argparse.Namespace) -> list[Entry]:
    """The entries that pass the filters of a command line, in the order that it asks for.

    Raises:
        UserError: a filter or order has a name that nothing has.
    """
    found = list(found)
    families = {e.family for e in found}
    sort = _known("--sort", given.sort, SORTS)[0]
    wanted = _known("--can", given.can, CLAUSES)
    needs = _known("--needs", given.needs, ("none", *NEEDS))
    family = _known("--family", given.family, families)
    kept = [
        e
        for e in found
        if all(can(e, clause) for clause in wanted)
        and (not needs or ("none" in needs and not e.needs) or set(needs) & set(e.needs))
        and (not family or e.family in family)
        and (not given.licence or licensed(e, given.licence))
    ]
    return sorted(kept, key=lambda e: (SORTS[sort](e), e.name))


def can(entry: Entry, clause: str) -> bool:
    """Whether an optimizer keeps a clause, as far as is known."""
    facts = measured(entry)
    return not entry.refused and clause not in entry.cannot and (
        facts is not None and clause in facts.kept
    )  # fmt: skip


def licensed(entry: Entry, wanted: str) -> bool:
    """Whether an optimizer's licence is permissive, or has ``wanted`` in its name."""
    if wanted == "permissive":
        return entry.commercial and entry.licence.startswith(PERMISSIVE)
    return wanted.lower() in entry.licence.lower()


def marks(entry: Entry) -> list[str]:
    """What a person should know before choosing it."""
    found = [*entry.needs]
    if not entry.commercial:
        found.append("non-commercial licence")
    if entry.refused:
        found.append("can't be used here")
    found += [f"no {clause}" for clause in entry.cannot]
    return found


def listing(found: Sequence[Entry]) -> str:
    """A line for each: name, bytes of state a parameter, time of a step, summary, marks."""
    width = max(len(e.name) for e in found)
    lines = [f"{'name'.ljust(width)}  {'B/param':>7}  {'step':>5}  what it does  [needs, can't]"]
    for entry in found:
        memory = _shown(_number(entry, "bytes_per_parameter"), "{:.1f}")
        time = _shown(_number(entry, "step_ratio"), "{:.1f}×")
        noted = f"  [{', '.join(marks(entry))}]" if marks(entry) else ""
        lines.append(f"{entry.name.ljust(width)}  {memory:>7}  {time:>5}  {entry.summary}{noted}")
    shown = "B/param: bytes of state a parameter. step: time of a training step over fused AdamW's."
    return "\n".join(
        [*lines, "", shown,
         f"{len(found)} optimizers. One in full: gdl optimizers show {found[0].name}"]
    )  # fmt: skip


def page(found: Sequence[Entry]) -> str:
    """The atlas as Markdown: counts by clause, then a row for each optimizer."""
    tried = [(e, facts) for e in found if (facts := measured(e)) is not None]
    counts = Counter(clause for _, facts in tried for clause in facts.kept)
    lines = [
        "# Optimizers",
        "",
        f"{len(found)} optimizers by name, {len(tried)} of them measured: "
        + ", ".join(f"{k} {v}" for k, v in conditions().items()) + ".",
        "Written by `gdl optimizers --format markdown`; measured by `python scripts/contract.py`.",
        "",
        "## The contract",
        "",
        "| clause | every optimizer … | keep it | carry a reason |",
        "|---|---|---|---|",
        *(f"| {k} | {text} | {counts[k]} | {sum(k in f.broken for _, f in tried)} |"
          for k, text in CLAUSES.items()),
        "",
        "## All of them",
        "",
        "Loss: of handwritten digits after 200 steps at the defaults, 2.38 at first. "
        "Memory: bytes of state a parameter. "
        "Step: time of a training step over that with fused AdamW. "
        "–: not measured; it can't be used here, or needs a GPU.",
        "",
        "| name | family | loss | memory | step | needs | can't | licence |",
        "|---|---|---|---|---|---|---|---|",
        *map(_row, found),
    ]  # fmt: skip
    return "\n".join(lines)


def _row(entry: Entry) -> str:
    facts = measured(entry)
    loss = facts.loss[1] if facts and facts.loss else math.inf
    reasons = "; ".join(f"{k}: {why}" for k, why in entry.cannot.items()) or entry.refused
    return (
        f"| {entry.name} | {entry.family} | {_shown(loss, '{:.3g}')} "
        f"| {_shown(_number(entry, 'bytes_per_parameter'), '{:.1f}')} "
        f"| {_shown(_number(entry, 'step_ratio'), '{:.1f}')} "
        f"| {', '.join(entry.needs)} | {reasons} | {entry.licence} |"
    )


def _number(entry: Entry, name: str) -> float:
    value = getattr(measured(entry), name, None)
    return math.inf if value is None else float(value)


def _shown(number: float, form: str) -> str:
    return form.format(number) if math.isfinite(number) else "–"


def _known(flag: str, given: str, names: Iterable[str]) -> list[str]:
    """The names in a comma-separated list.

    Raises:
        UserError: one of them is not known.
    """
    names, found = list(names), [part.strip() for part in given.split(",") if part.strip()]
    for name in found:
        if name not in names:
            raise UserError(
                f"{flag} names {name}; there are {', '.join(sorted(names))}."
                f"{did_you_mean(name, names)}"
            )
    return found
