"""What is read of a run's files, whatever they hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from helpers import Run
from hypothesis import given
from hypothesis import strategies as st
from instruments import FALLING, lines

from gdlightning.diagnostics.diagnose import as_text, diagnose
from gdlightning.diagnostics.run_record import CURVATURE, RunRecord
from gdlightning.storage.journal import JOURNAL

ROWS = [
    *lines(FALLING[:100]),
    {"step": 50, "alike": [0.5, 1.0, 1.0]},
    {"step": 60, "val": {"val_loss": 0.5}},
    {"step": 70, "curvature": {"largest": 1.0, "smallest": 0.0, "times_lr": 1.9, "limit": 2.0}},
    {
        "step": 80,
        "losses": [2.0],
        "spikes": [{"step": 80, "loss": None, "typical": 1.0, "examples": [1, 2]}],
    },
]


def journal(folder: Path, *raw: bytes) -> Path:
    """A run's folder that holds good rows and further lines."""
    good = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (folder / JOURNAL).write_bytes(good + b"".join(line + b"\n" for line in raw))
    return folder


BAD = {
    "no JSON": b'{"step": 3, "losses": [1.0',
    "a list": b"[1, 2]",
    "no step": b'{"losses": [1.0]}',
    "step is text": b'{"step": "7", "losses": [1.0]}',
    "step is true": b'{"step": true, "losses": [1.0]}',
    "step is a list": b'{"step": [1], "losses": [1.0]}',
    "step is infinite": b'{"step": 1e400, "losses": [1.0]}',
    "step is huge": b'{"step": ' + b"9" * 5000 + b"}",
    "step is negative": b'{"step": -1, "losses": [1.0]}',
    "NUL bytes": bytes(40),
    "no UTF-8": b'{"step": 1, "\xff\xfe',
    "deep": b"[" * 100_000,
    "losses are text": b'{"step": 1, "losses": ["1.0"]}',
    "losses are a number": b'{"step": 1, "losses": 5}',
    "losses are huge": b'{"step": 1, "losses": [1' + b"0" * 400 + b"]}",
    "loss is a list": b'{"step": 1, "loss": [], "promised": 1.0}',
    "examples are a fraction": b'{"step": 1, "loss": 1.0, "promised": 1.0, "examples": 0.5}',
    "grads without weights": b'{"step": 1, "loss": 1.0, "promised": 1.0, "grads": [1.0]}',
    "dead units are a list": b'{"step": 1, "loss": 1.0, "promised": 1.0, "dead": [1]}',
    "one product": b'{"step": 1, "alike": [1.0]}',
    "validation is text": b'{"step": 1, "val": {"val_loss": "low"}}',
    "spike without a loss": b'{"step": 1, "spikes": [{"step": 1, "typical": 1.0}]}',
    "spike of texts": b'{"step": 1, "spikes": [{"step": 1, "loss": 1.0, "typical": 1.0, '
    b'"examples": ["a"]}]}',
    "start is a list": b'{"step": 0, "start": [1]}',
    "layers are numbers": b'{"step": 0, "start": {"layers": [1]}}',
    "data is text": b'{"step": 0, "start": {"data": {"examples": {"train": "many"}}}}',
    "clipped is text": b'{"step": 1, "clipped": "often"}',
    "curvature is null": b'{"step": 1, "curvature": null}',
}


@pytest.mark.parametrize("what", BAD)
def test_a_damaged_row_is_left_out_whole_and_named(what: str, tmp_path: Path) -> None:
    good = RunRecord.of(ROWS)
    read = RunRecord.read(journal(tmp_path, BAD[what]))
    assert read.damage.count == 1
    assert f"line {len(ROWS) + 1} (" in str(read.damage)
    assert read.losses == good.losses
    assert len(read.steps) == len(good.steps)
    assert read.start == good.start
    assert diagnose(read) == diagnose(good)


def test_a_row_after_a_damaged_one_is_taken(tmp_path: Path) -> None:
    after = [
        {
            "step": 100 + k,
            "loss": 1.0,
            "promised": -0.1,
            "losses": [1.0],
            "dead": {"new": 0.5},
            "grads": [1.0],
            "weights": [2.0],
        }
        for k in range(2)
    ]
    raw = [
        b
        for row, bad in zip(after, BAD.values(), strict=False)
        for b in (bad, json.dumps(row).encode())
    ]
    read = RunRecord.read(journal(tmp_path, *BAD.values(), *raw))
    whole = RunRecord.of([*ROWS, *after])
    assert read.steps.loss.tolist() == whole.steps.loss.tolist()
    assert [list(read.steps.layers(k)[1]) for k in (-2, -1)] == [[2.0], [2.0]]
    assert str(read.damage).startswith(f"{len(BAD) + 2} damaged parts: ")


def test_a_line_that_is_being_written_is_no_damage(tmp_path: Path) -> None:
    journal(tmp_path)
    with (tmp_path / JOURNAL).open("a") as stream:
        stream.write('{"step": 99, "los')
    read = RunRecord.read(tmp_path)
    assert read.damage.count == 0
    assert read.losses == RunRecord.of(ROWS).losses


def test_damage_is_told_and_the_rest_is_diagnosed(gdl: Run, tmp_path: Path) -> None:
    journal(tmp_path, BAD["no step"], BAD["losses are text"])
    (tmp_path / CURVATURE).write_text('{"top": 5}')
    done = gdl("diagnose", str(tmp_path))
    assert done.code == 0
    assert len(done.err.splitlines()) == 1
    assert f"3 damaged parts: {JOURNAL}, line {len(ROWS) + 1} (not a row of a step)" in done.err
    assert "must be real number, not str" in done.err
    assert "curvature.json (it.top is not a list)" in done.err
    (tmp_path / JOURNAL).write_bytes(BAD["no step"] + b"\n")
    nothing = gdl("diagnose", str(tmp_path))
    assert nothing.code == 2
    assert "cannot be read: 2 damaged parts" in nothing.err


def test_a_short_run_has_no_findings_yet(gdl: Run, tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('{"step": 1, "losses": [2.0, 1.9]}\n')
    done = gdl("diagnose", str(tmp_path))
    assert done.code == 0
    assert "2 of 2 steps" in done.out
    assert "most findings need about 50" in done.out


odd = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=3),
        st.sampled_from([0.0, 1.0, -1.0, 1e300, 5e-324, 2**63, 10**400, 32]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=4,
)
KEYS = sorted({key for row in ROWS for key in row} - {"step"})


@given(st.data())
def test_whatever_stands_in_rows_there_are_verdicts(data: st.DataObject) -> None:
    """Of the declared types or of others: rows in which a few values are replaced."""
    rows: list[dict[str, Any]] = [dict(row) for row in ROWS]
    for _ in range(data.draw(st.integers(1, 6))):
        rows[data.draw(st.integers(0, len(rows) - 1))][data.draw(st.sampled_from(KEYS))] = (
            data.draw(odd)
        )
    record = RunRecord.of(rows)
    record.curvature = {
        "top": [{"value": data.draw(numbers), "bound": 0.0, "sampling": None}],
        "bottom": [{"value": data.draw(numbers), "bound": None, "sampling": None}],
        "gradient_norm": data.draw(numbers),
        "loss": data.draw(numbers),
        "stability": None,
    }
    as_text(diagnose(record))


numbers = st.one_of(st.none(), st.floats(allow_nan=False))


@given(st.lists(numbers, min_size=60, max_size=90), numbers, numbers)
def test_numbers_of_any_size_give_verdicts(
    losses: list[float | None], value: float | None, other: float | None
) -> None:
    rows = lines(
        [math.nan if v is None else v for v in losses],
        every=5,
        gain=value,
        promised=other,
        grad_norm=value,
        lr=other,
        grads=[value] * 3,
        weights=[other] * 3,
        dead={"a": value},
        clipped=other,
    )
    rows += [{"step": k, "alike": [value, other, 5e-324]} for k in range(0, 90, 5)]
    rows += [{"step": k, "val": {"val_loss": value}} for k in range(0, 90, 10)]
    as_text(diagnose(RunRecord.of(rows)))
