"""``gdl optimizers prove``: try the contract on one optimizer, one's own too."""

from __future__ import annotations

import argparse
import json

from gdlightning.discovery import import_module
from gdlightning.errors import UserError
from gdlightning.optimizers.entry import CLAUSES


def main(argv: list[str]) -> int:
    """Try every clause on an optimizer; exit code 1 where one is broken without a reason.

    Raises:
        UserError: there is no such optimizer, or it can't be used here.
    """
    parser = argparse.ArgumentParser(
        "gdl optimizers prove", description="Try on an optimizer what every optimizer must do."
    )
    parser.add_argument("name")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--imports", action="append", default=[], help="a module to import first")
    given = parser.parse_args(argv)
    for module in given.imports:
        import_module(module, f"--imports: {module}")
    from gdlightning.conformance.conformance_record import examine
    from gdlightning.conformance.ranks import two_ranks
    from gdlightning.conformance.training_check import quiet
    from gdlightning.optimizers.registry import find

    entry = find(given.name)
    if entry.refused:
        raise UserError(f"{entry.name} can't be used here: {entry.refused}.")
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
            f"{record.bytes_per_parameter:.1f} bytes of state a parameter, a step takes "
            f"{record.step_ratio:.2f} times fused AdamW's."
        )
    return min(1, len(wrong))
