"""Optimizers on the contract: a sample of each kind, whatever is new, and the atlas as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from gdlightning.callbacks.optimization import Optimization
from gdlightning.callbacks.refusals import WITHOUT, refuse
from gdlightning.cli.atlas import page
from gdlightning.contract.ranks import two_ranks
from gdlightning.contract.record import examine
from gdlightning.contract.trial import quiet
from gdlightning.errors import UserError
from gdlightning.optimizers.atlas import measured
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
"""One of each need and of each way to keep state."""
USABLE = [e for e in entries() if not e.refused and installed(e) and e.family != "own"]
NEW = [e.name for e in USABLE if measured(e) is None]
REFUSED = [(e, clause) for e in entries() for clause in e.cannot if clause in WITHOUT]


@pytest.mark.parametrize("name", [*SAMPLE, *NEW])
def test_an_entry_says_what_its_optimizer_does(name: str) -> None:
    assert not examine(find(name), costs=False).against(find(name))


def test_two_processes_keep_the_same_weights() -> None:
    seen: dict[str, str | None] = {}
    names = ["adamw", "muon", "lbfgs", "alig"]  # the last two step by the loss, too
    two_ranks(names, seen.__setitem__)
    assert seen == dict.fromkeys(names)


@pytest.mark.parametrize("entry", USABLE, ids=lambda e: e.name)
def test_the_atlas_says_what_the_entry_says(entry: Entry) -> None:
    facts = measured(entry)
    if facts is None:  # tried above
        return
    assert set(facts.broken) == set(entry.cannot)
    assert {*facts.broken, *facts.kept} == set(CLAUSES)
    assert facts.bytes_per_parameter is not None
    assert facts.step_ratio is not None


def test_the_page_is_that_of_the_atlas() -> None:
    written = Path(__file__).parents[2] / "docs" / "optimizers.md"
    known = [e for e in entries() if e.family != "own"]
    assert written.read_text(encoding="utf-8") == page(known) + "\n", (
        "write it again: python scripts/contract.py --page"
    )


@pytest.mark.parametrize(
    ("entry", "clause"), REFUSED, ids=[f"{e.name}-{clause}" for e, clause in REFUSED]
)
def test_what_it_cannot_do_is_refused_with_the_reason(entry: Entry, clause: str) -> None:
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
