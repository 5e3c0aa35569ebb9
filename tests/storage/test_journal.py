"""A journal is trimmed to the steps that a resumed training has seen, whatever it holds."""

from __future__ import annotations

from pathlib import Path

from gdlightning.storage.journal import JOURNAL, append, numbered, rows, trim_journal

DAMAGED = [
    b"",
    b"5",
    b"[]",
    b'{"losses": [1]}',
    b'{"step": "1"}',
    b'{"step": null}',
    b'{"step": true}',
    b'{"step": [1]}',
    b'{"step": 1e400}',
    b'{"step": 1.0}',
    b'{"step": -1}',
    b'{"step": NaN}',
    b'{"step": 9999999999999999999999}',
    b'{"step": ' + b"9" * 5000 + b"}",
    bytes(20),
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a": ' * 100_000,
    b'{"step": 1} x',
]


def test_damaged_lines_go_and_the_others_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / JOURNAL
    good = [b'{"step": %d,  "loss": 1.50}\n' % k for k in range(40)]
    mixed = [line for k, part in enumerate(good) for line in (part, *DAMAGED[k : k + 1])]
    file.write_bytes(b"\n".join(line.rstrip(b"\n") for line in mixed) + b"\n")
    assert [row["step"] for row in rows(file)] == list(range(40))
    assert sum(row is None for _, row in numbered(file)) == len(DAMAGED)
    assert trim_journal(file, 30) == len(DAMAGED)
    assert file.read_bytes() == b"".join(good[:30])
    append(file, {"step": 30})
    assert [row["step"] for row in rows(file)] == list(range(31))


def test_half_a_line_at_the_end_goes_without_being_counted(tmp_path: Path) -> None:
    file = tmp_path / JOURNAL
    file.write_text('{"step": 0}\n{"step": 1}\n{"st')
    assert trim_journal(file, 5) == 0
    assert file.read_text() == '{"step": 0}\n{"step": 1}\n'


def test_a_training_from_the_start_has_no_journal_yet(tmp_path: Path) -> None:
    file = tmp_path / JOURNAL
    file.write_text('{"step": 0}\n')
    trim_journal(file, 0)
    assert not file.exists()
    assert trim_journal(file, 5) == 0
