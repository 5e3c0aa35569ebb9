"""Optimizers and the contract: a sample of all kinds, new optimizers, and the atlas."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdlightning.cli.printing.optimizer_tables import page
from gdlightning.conformance.conformance_record import examine
from gdlightning.conformance.ranks import two_ranks
from gdlightning.conformance.training_check import quiet
from gdlightning.engine.capability_checks import WITHOUT, refuse
from gdlightning.engine.optimization import Optimization
from gdlightning.errors import UserError
from gdlightning.optimizers.benchmark_table import measured
from gdlightning.optimizers.entry import CLAUSES, Entry
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.registry import entries, find, installed

quiet()
SAMPLE = (
    "adagrad",
    "adamw",
    "adashift",
    "alig",
    "galore",
    "lbfgs",
    "momentum",
    "muon",
    "sam",
    "schedule-free-adamw",
    "sophia-h",
    "sparse-adam",
)
"""Covers each need and each form of state."""
USABLE = [e for e in entries() if not e.refused and installed(e) and e.family != "own"]
NEW = [e.name for e in USABLE if measured(e) is None]
REFUSED = [(e, clause) for e in entries() for clause in e.cannot if clause in WITHOUT]


@pytest.mark.parametrize("name", [*SAMPLE, *NEW])
def test_entry_agrees_with_the_optimizer(name: str) -> None:
    assert not examine(find(name), costs=False).against(find(name))


def test_two_processes_keep_the_same_weights() -> None:
    seen: dict[str, str | None] = {}
    names = ["adamw", "muon", "lbfgs", "alig"]  # the last two also use the loss
    two_ranks(names, seen.__setitem__)
    assert seen == dict.fromkeys(names)


@pytest.mark.parametrize("entry", USABLE, ids=lambda e: e.name)
def test_atlas_agrees_with_the_entries(entry: Entry) -> None:
    facts = measured(entry)
    if facts is None:  # tested above
        return
    assert set(facts.broken) == set(entry.cannot)
    assert {*facts.broken, *facts.kept} == set(CLAUSES)
    assert facts.bytes_per_parameter is not None
    assert facts.step_ratio is not None


def test_page_agrees_with_the_atlas() -> None:
    written = Path(__file__).parents[2] / "docs" / "optimizers.md"
    known = [e for e in entries() if e.family != "own"]
    assert written.read_text(encoding="utf-8") == page(known) + "\n", (
        "docs/optimizers.md is outdated: run python scripts/contract.py --page"
    )


@pytest.mark.parametrize(
    ("entry", "clause"), REFUSED, ids=[f"{e.name}-{clause}" for e, clause in REFUSED]
)
def test_violated_clauses_are_an_error_with_the_reason(entry: Entry, clause: str) -> None:
    asked = {
        "schedule": {"schedule": "cosine"},
        "groups": {"grouping": Grouping(layer_decay=0.9)},
        "clipping": {"clip": 1.0},
        "frozen": {"grouping": Grouping(freeze=["output.*"])},
    }
    with pytest.raises(UserError) as caught:  # noqa: PT012
        Optimization(entry.name, **asked.get(clause, {}))  # type: ignore[arg-type]
        refuse(Optimization(entry.name).choice, {clause})
    assert entry.cannot[clause] in str(caught.value)
    assert WITHOUT[clause] in str(caught.value)
