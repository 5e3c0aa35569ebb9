"""Malicious and damaged tables: CSV, TSV, JSON lines, Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_base import SUFFIXES, TABLES, Attempt, Scene, damaged, used


def table(scene: Scene) -> Attempt:
    """A table."""
    chance = scene.chance
    family = chance.choice(TABLES)
    suffix = chance.choice(SUFFIXES)
    path = scene.folder / f"bad.{suffix}"
    if chance.random() < 0.5:
        found, what = damaged(scene.good(family, suffix).read_bytes(), chance)
        path.write_bytes(found)
    elif suffix == "parquet":
        what = chance.choice(list(COLUMNS))
        _parquet(path, COLUMNS[what](), scene)
    elif suffix == "jsonl":
        what = chance.choice(list(LINES))
        path.write_text(LINES[what](scene.good(family, suffix).read_text()))
    else:
        what = chance.choice(list(TEXTS))
        text = TEXTS[what](scene.good(family, "csv").read_text())
        path.write_text(text.replace(",", "\t") if suffix == "tsv" else text)
    return used(scene, family, path, f"{suffix}: {what}")


def _cells(value: str) -> Callable[[str], str]:
    """Replace the values of one column."""

    def change(text: str) -> str:
        header, *rows = text.splitlines()
        made = []
        for k, row in enumerate(rows):
            cells = row.split(",")
            cells[k % len(cells) if value else 1] = value
            made.append(",".join(cells))
        return "\n".join([header, *made]) + "\n"

    return change


TEXTS: dict[str, Callable[[str], str]] = {
    "open quote": lambda t: t[:60] + '"' + t[60:], "quotes": lambda t: '"' * 9999,
    "ragged": lambda t: t.replace("\n", ",1,2,3\n", 3), "header alone": lambda t: t.split("\n")[0],
    "only commas": lambda t: ",,,\n" * 30, "huge field": lambda t: t[:60] + "x" * 3_000_000,
    "nulls": lambda t: t.replace("red", "r\0d"), "wide": lambda t: ",".join("ab" * 9000) + "\n1\n",
    "names twice": lambda t: t.replace("size", "price"),
    "nameless": lambda t: t.replace("kind", ""),
    "long digits": _cells("9" * 400), "1e400": _cells("1e400"), "-inf": _cells("-inf"),
    "nan": _cells("nan"), "missing": _cells(""), "dates": _cells("2020-02-30"),
    "booleans": _cells("True"), "formula": _cells("=cmd|' /C calc'!A0"), "blank": lambda t: "\n" * 99,
    "carriage returns": lambda t: t.replace("\n", "\r"), "mixed": lambda t: t + "a,b,c,d,e,f\n",
    "letters of all kinds": _cells("\u202e\ufeff٣"), "one row": lambda t: "\n".join(t.split("\n")[:2]),
}  # fmt: skip
LINES: dict[str, Callable[[str], str]] = {
    "nested": lambda t: t.replace('"red"', '{"a": {"b": [1]}}'),
    "lists": lambda t: t.replace('"a"', "[1, [2]]"), "deep": lambda t: "[" * 100_000,
    "deep value": lambda t: '{"price": ' + "[" * 5000 + "]" * 5000 + "}\n",
    "numbers": lambda t: "5\n6\n", "nulls": lambda t: "null\n" * 9,
    "NaN": lambda t: '{"price": NaN}',
    "long digits": lambda t: t.replace(":0.5", ":" + "9" * 400), "no key": lambda t: "{}\n" * 9,
    "some keys": lambda t: t + '{"price": 1}\n{"other": 2}\n', "key twice": lambda t: '{"a":1,"a":2}',
    "mixed": lambda t: t.replace('"id":1', '"id":"x"'), "an array": lambda t: "[{}]",
    "escapes": lambda t: t.replace("red", "\\ud800"), "open": lambda t: t[:-5],
    "a list of rows": lambda t: "[" + ",".join(t.splitlines()) + "]",
    "huge exponent": lambda t: t.replace(":0.5", ":1e999"),
}  # fmt: skip


def _array(values: list[Any], kind: str = "") -> Callable[[], Any]:
    def make() -> Any:
        import pyarrow as pa

        return pa.array((values * 24)[:24], eval(kind, {"pa": pa}) if kind else None)

    return make


COLUMNS: dict[str, Callable[[], Any]] = {
    "structs": _array([{"a": 1}, {"a": None}]), "lists": _array([[1, 2], []]),
    "bytes": _array([b"\xff", b"a"]), "all missing": _array([None], "pa.null()"),
    "decimals": _array([None], "pa.decimal128(38, 37)"),
    "times": _array([0, 2**62], "pa.timestamp('ns', tz='UTC')"),
    "durations": _array([1, 2], "pa.duration('s')"), "dates": _array([1, 9**6], "pa.date32()"),
    "unsigned": _array([2**64 - 1, 0], "pa.uint64()"), "booleans": _array([True, None]),
    "maps": _array([[("a", 1)]], "pa.map_(pa.string(), pa.int8())"),
    "floats": _array([float("inf"), float("nan")]), "large integers": _array([2**63 - 1, -(2**63)]),
}  # fmt: skip


def _parquet(path: Path, values: Any, scene: Scene) -> None:
    """Return the valid table with one column replaced, or with other names."""
    import pyarrow.parquet as pq

    found = pq.read_table(scene.good("tabular", "parquet"))
    at = scene.chance.randrange(found.num_columns)
    pq.write_table(found.set_column(at, found.column_names[at], values), path)
