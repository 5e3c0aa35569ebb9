"""Test every optimizer against the contract, and compare the results with the entries.

Two processes share the clauses that run in one process; then two ranks train each optimizer
together. Prints each contradiction to an entry; the exit code is 1 if there is any. With
``--write``, the results become ``gdlightning/optimizers/benchmark_table.json`` and
``docs/optimizers.md``.

    python scripts/contract.py --write
    python scripts/contract.py adamw soap
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "optimizers.md"
LIBRARIES = (
    "torch",
    "lightning",
    "pytorch-optimizer",
    "heavyball",
    "schedulefree",
    "prodigyopt",
    "torchao",
    "bitsandbytes",
)


def one(name: str) -> Any:
    """Return the record of one optimizer."""
    import warnings

    import torch

    from gdlightning.conformance.conformance_record import examine
    from gdlightning.conformance.training_check import quiet
    from gdlightning.optimizers.registry import find

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    quiet()
    return examine(find(name))


def main() -> int:
    """Test all optimizers, or the given ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--write", action="store_true", help="write the benchmark table and its page"
    )
    parser.add_argument(
        "--page", action="store_true", help="write only the page, from the stored benchmark table"
    )
    given = parser.parse_args()
    from gdlightning.cli.printing.optimizer_tables import page
    from gdlightning.conformance.ranks import two_ranks
    from gdlightning.optimizers import benchmark_table as atlas
    from gdlightning.optimizers.registry import entries, find, installed
    from gdlightning.storage.atomic_write import write_json, write_text

    if given.page:
        write_text(PAGE, page(entries()) + "\n")
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    began = time.monotonic()
    tried = [find(n) for n in given.names] or entries()
    tried = [e for e in tried if not e.refused and installed(e)]
    names = [e.name for e in tried]
    records: dict[str, Any] = {}

    def progress(what: str, count: int) -> None:
        print(
            f"\r{what} {count}/{len(names)}, {time.monotonic() - began:.0f} s ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        for record in pool.imap_unordered(one, names):
            records[record.name] = record
            progress("alone", len(records))
    ranked: list[str] = []

    def note(name: str, seen: str | None) -> None:
        records[name].note("ddp", seen)
        ranked.append(name)
        progress("two ranks", len(ranked))

    two_ranks(names, note)
    wrong = [line for entry in tried for line in records[entry.name].against(entry)]
    print(f"\n{len(names)} optimizers, {time.monotonic() - began:.0f} s", *wrong, sep="\n")
    if given.write:
        former = json.loads(atlas.FILE.read_text("utf-8")) if atlas.FILE.is_file() else {}
        known = {e.name for e in entries() if not e.refused}  # libraries may be missing today
        rows = {k: v for k, v in former.get("optimizers", {}).items() if k in known}
        rows |= {name: _row(records[name]) for name in names}
        conditions = former.get("conditions", {}) | _conditions()
        write_json(atlas.FILE, {"conditions": conditions, "optimizers": dict(sorted(rows.items()))})
        atlas._content.cache_clear()
        write_text(PAGE, page(entries()) + "\n")
    return min(1, len(wrong))


def _row(record: Any) -> dict[str, Any]:
    row = {k: v for k, v in vars(record).items() if k != "name"}
    for key in ("bytes_per_parameter", "step_ratio"):
        row[key] = None if row[key] is None else round(row[key], 2)
    row["loss"] = None if row["loss"] is None else [float(f"{x:.4g}") for x in row["loss"]]
    return row


def _conditions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
