"""Configs with one fault: in a key, a name, a value, or the file itself."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from generated import FOLDER, Tree, configs
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

UNSAFE = {
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.accelerator",
    "threads",
    "imports",
    "resume",
}
"""Keys whose wrong values could start processes, or wait for other machines."""

WORDS = ["", " ", "fast", "ädamw ✓", "None", "-", "1e", "0x1G", "full", "true", "x" * 100_000,
         "two\nlines", "tab\there", "[1, 2", "{a: 1}", "${HOME}", "%s", "nan", "../../x", "/etc",
         "a/b", "nul\0l", "\ud800", "*", "[", "no.such.module", "os.path", "torch.nn.Linear",
         "2020-01-01", "adamw", "10 %", "--lr", "\x1b[31mred"]  # fmt: skip
NUMBERS = [
    0,
    -1,
    -5,
    1,
    2.5,
    1e-30,
    -0.0,
    1e30,
    10**30,
    -(10**30),
    2**31,
    2**63,
    float("nan"),
    float("inf"),
    -float("inf"),
]
NESTED: list[Any] = [
    [],
    {},
    [1, 2],
    [[]],
    ["a", None],
    {"a": 1},
    {"name": "adamw"},
    {"name": None},
    {"a": {"b": [{"c": []}]}},
    [{"pattern": 1}],
    [float("nan")],
    {"": ""},
    {1: 2},
    [[[[[[]]]]]],
    None,
    True,
    False,
]
RAW = ["!!python/object/apply:os.getcwd []", "!!python/name:os.getcwd", "!!binary aGFsbG8=",
       "!!set {a, b}", "2020-13-45", "2020-01-01", "12:30:45", "&a [*a]", "*nothing", "!own 1",
       "? [1, 2]\n: 3", "{[1, 2]: 3}", "{? {a: 1} : 2}", "'unclosed", "[1, 2", "{a: 1", "a: b: c",
       "@x", "`x`", "%x", "\t- 1", "0o17", "0b12", "1_000", "1" * 5000, "[" * 2000, "{<<: [1, 2]}",
       "{<<: 5}", ".nan", "~", "!!int 'x'", "!!float []", "!!timestamp 5", "|\n  two\n  lines",
       "!!omap [a: 1]", "!!null x"]  # fmt: skip
WHOLE = ["", "~", "5", "text", "- a\n- b", "---\na: 1\n---\nb: 2", "[", "{", "\0", "a: &x [*x]",
         "&x {model: *x}", "model: &x {net: *x}", "? {a: 1}\n: 2", "\ufeffmodel: mlp",
         "a: 1\na: 2", "model:\n\tname: x", "!!python/object:os.system {}", "model: !!str {a: 1}",
         "%YAML 9.9\n---", "{" * 3000, "x: " + "[" * 3000, "<<: {model: mlp}", "<<: [1]", "1: 2",
         "null: 3", "'': 4", "[1]: 2", "model.net.name: mlp", "model.: x", ".: x", "..: x",
         "model..net: x", "optimizer: [adamw]", "trainer: 5", "trainer:", "groups: x", "model: {}",
         "model: {net: {net: {net: 1}}}", "optimizer: {name: {name: adamw}}", "version: 0",
         "version: [1]", "name: {a: 1}", "config: x.yaml", "help: true",
         "print_config: 1"]  # fmt: skip


@dataclass
class Case:
    """A command with its config file.

    Attributes:
        text: content of the config file.
        flags: flags after the config file.
        spoilt: description of the fault; empty for a valid config.
        named: words of which a message must contain one; empty if the whole file is invalid.
        good: config without the fault.
        table: content of the data table, if any.
    """

    text: str
    flags: list[str] = field(default_factory=list)
    spoilt: str = ""
    named: tuple[str, ...] = ()
    good: str = ""
    table: bytes | None = None


def dump(tree: Tree) -> str:
    """Return a tree as YAML, with unsupported characters escaped."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def leaves(tree: Tree, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of all values and sections."""
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")


def put(tree: Tree, key: str, value: Any) -> None:
    """Set the value at a dotted key."""
    *path, last = key.split(".")
    for part in path:
        tree = tree[part]
    tree[last] = value


def take(tree: Tree, key: str) -> Any:
    """Remove the value at a dotted key."""
    *path, last = key.split(".")
    for part in path:
        tree = tree[part]
    return tree.pop(last)


def at(tree: Tree, key: str) -> Any:
    """Return the value at a dotted key."""
    for part in key.split("."):
        tree = tree[part]
    return tree


@st.composite
def misspelt(draw: DrawFn, word: str) -> str:
    """Draw a word with one typing error."""
    k = draw(st.integers(0, max(0, len(word) - 1)))
    letter = draw(st.sampled_from(string.ascii_lowercase + "ß_"))
    return draw(
        st.sampled_from(
            [
                word[:k] + word[k + 1 :],
                word[:k] + word[k : k + 1] * 2 + word[k + 1 :],
                word[:k] + letter + word[k + 1 :],
                word[:k] + word[k : k + 2][::-1] + word[k + 2 :],
                word + letter,
                letter + word,
            ]
        )
    )


values = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(NUMBERS),
    st.sampled_from(NESTED),
    st.text(max_size=20),
    st.floats(),
    st.integers(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)

cells = st.one_of(
    st.integers(-3, 3).map(str),
    st.sampled_from(
        [
            "",
            "a",
            "b",
            "nan",
            "inf",
            '"',
            ",",
            "1e999",
            "ü",
            "x\ny",
            "True",
            "2020-01-01",
            " ",
            "\0",
        ]
    ),
    st.floats().map(repr),
    st.text(max_size=4),
)


@st.composite
def tables(draw: DrawFn) -> bytes:
    """Draw a table with arbitrary content, or arbitrary bytes."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=60))
    header = draw(
        st.sampled_from(
            [
                "x,y",
                "x,y,kind",
                "kind,size",
                "series,step,a,kind",
                "kind",
                "x,x,kind",
                "text,mood",
                "size,kind,,",
                "ü,kind",
            ]
        )
    )
    width = header.count(",") + 1
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=25))
    text = "\n".join([header, *(",".join(r) for r in rows)])
    return text.encode(draw(st.sampled_from(["utf-8", "latin-1", "utf-16"])), errors="replace")


@st.composite
def cases(draw: DrawFn) -> Case:
    """Draw a valid command, or one with a single fault."""
    how = draw(
        st.sampled_from(
            [
                "good",
                "good",
                "good",
                "key",
                "name",
                "value",
                "value",
                "value",
                "value",
                "flag",
                "raw",
                "move",
                "lose",
                "whole",
                "bytes",
                "table",
                "arguments",
            ]
        )
    )
    tree = draw(configs())
    good = dump(tree)
    keys = [k for k in leaves(tree) if k not in UNSAFE]
    key = keys[draw(st.integers(0, 1 << 16)) * 7919 % len(keys)]  # none more often than others
    last = key.rpartition(".")[2]
    if how == "key":
        wrong = draw(misspelt(last))
        value = take(tree, key)
        put(tree, f"{key.rpartition('.')[0]}.{wrong}".removeprefix("."), value)
        return Case(dump(tree), [], f"{key} → {wrong}", (wrong,) if wrong else (), good)
    if how == "name":
        key = draw(st.sampled_from([k for k in keys if k.endswith("name") and k != "name"]))
        wrong = draw(misspelt(at(tree, key)))
        put(tree, key, wrong)
        return Case(dump(tree), [], f"{key} = {wrong}", (wrong,), good)
    if how == "value":
        value = draw(values)
        if key.endswith("run_root") and str(value).startswith(("/", "$")):
            value = "given/table.csv/x"
        put(tree, key, value)
        return Case(dump(tree), [], f"{key} = {str(value)[:80]!r}", named(key), good)
    if how == "flag":
        value = draw(
            st.one_of(
                st.sampled_from(WORDS[:18]),
                st.sampled_from(NUMBERS).map(str),
                st.text(max_size=10).filter(lambda t: "\0" not in t),
            )
        )
        value = "given" if key.endswith("run_root") else value
        flag = [f"--{key}={value}"] if draw(st.booleans()) else [f"--{key}", value]
        return Case(dump(tree), flag, f"--{key}={value[:80]!r}", named(key), good)
    if how == "raw":
        mark = "SPOILT"
        put(tree, key, mark)
        return Case(dump(tree).replace(mark, draw(st.sampled_from(RAW))), [], f"raw {key}")
    if how == "move":
        target = draw(st.sampled_from(sorted(tree)))
        value = take(tree, key)
        if not isinstance(tree.get(target), dict):
            target = "optimizer" if isinstance(tree.get("optimizer"), dict) else "trainer"
            tree.setdefault(target, {})
        tree[target][last] = value
        return Case(dump(tree), [], f"{key} → {target}")
    if how == "lose":
        take(tree, key)
        tree["trainer"] = {"max_epochs": 1, "max_steps": 2, "accelerator": "cpu"} | tree.get(
            "trainer", {}
        )
        return Case(dump(tree), [], f"without {key}")
    return draw(whole(tree, how))


@st.composite
def whole(draw: DrawFn, tree: Tree, how: str) -> Case:
    """Draw a command with an invalid file, table or arguments."""
    if how == "whole":
        text = draw(st.sampled_from(WHOLE) | st.text(max_size=40))
        extra = dump(tree) if draw(st.booleans()) else ""
        return Case(text + "\n" + extra, [], "whole file")
    if how == "bytes":
        data = bytearray(dump(tree).encode())
        k = draw(st.integers(0, len(data)))
        data[k : k + draw(st.integers(0, 8))] = draw(st.binary(max_size=4))
        return Case(bytes(data).decode("latin-1"), [], "bytes")
    if how == "table":
        tree["data"] = draw(
            st.sampled_from(
                [
                    {"name": "tabular", "path": "t.csv", "target": "kind"},
                    {"name": "tabular", "path": "t.csv", "target": "size", "problem": "regression"},
                    {"name": "sequence-table", "path": "t.csv", "id": "series", "target": "kind"},
                    {
                        "name": "forecast-table",
                        "path": "t.csv",
                        "target": "a",
                        "horizon": 1,
                        "context": 2,
                    },
                    {"name": "text-table", "path": "t.csv", "target": "mood"},
                    {"name": "ts-file", "path": "t.ts"},
                    {"name": "text-files", "path": "t.txt", "context": 4},
                ]
            )
        )
        task = {
            "tabular": "tabular-classification",
            "sequence-table": "sequence-classification",
            "forecast-table": "forecasting",
            "text-table": "text-classification",
            "ts-file": "sequence-classification",
            "text-files": "language-modelling",
        }[tree["data"]["name"]]
        if tree["data"].get("problem"):
            task = "tabular-regression"
        tree["model"] = task
        return Case(dump(tree), [], "table", table=draw(tables()))
    if how == "arguments":
        parts = st.sampled_from(
            [
                "--config",
                "--",
                "-",
                "--=",
                "--lr",
                "--optimizer",
                "adamw",
                "=",
                "--trainer.max_steps=1",
                "-h",
                "--help",
                "--config=",
                "--model",
                "--seed=1=2",
                "--optimizer.help",
                "--data.help",
                "--x.help=y",
                "--debug=no",
                "--print_config",
                "--config",
                f"{FOLDER}book.txt",
                "--SEED",
                "--trainer-max-steps",
                "--groups.help",
                "--resume",
                "--init_from",
                FOLDER,
                "--optimizer.lr",
                "1",
                "",
            ]
        )
        return Case(
            dump(tree),
            draw(st.lists(parts | st.text(max_size=6), min_size=1, max_size=4)),
            "arguments",
        )
    return Case(dump(tree))


def named(key: str) -> tuple[str, ...]:
    """What a message on a key must hold: its last part, or the section of a name."""
    section, _, last = key.rpartition(".")
    return (last, section.rpartition(".")[2]) if last == "name" and section else (last,)
