"""Base of the hostile inputs: a small run per task, and ways to damage bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
QUICK = (
    "--trainer.enable_progress_bar",
    "false",
    "--trainer.accelerator",
    "cpu",
    "--trainer.max_steps",
    "1",
    "--trainer.limit_val_batches",
    "1",
    "--trainer.limit_test_batches",
    "1",
    "--loggers",
    "csv",
    "--watch.graph",
    "false",
    "--data.batch_size",
    "4",
)
CODE = "import pathlib; pathlib.Path({!r}).touch()"


@dataclass(frozen=True)
class Family:
    """A kind of run on a data file.

    Args:
        config: name of the example config.
        flags: flags of the data without its path.
        source: file or folder of the data, as written by ``prepare``.
    """

    config: str
    flags: tuple[str, ...]
    source: str


def _flags(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILIES = {
    "tabular": Family("tabular", _flags("--data tabular --data.target kind"), "table"),
    "regression": Family(
        "tabular_regression", _flags("--data tabular --data.target price --data.drop kind"), "table"
    ),
    "sequence": Family("sequence", _flags(
        "--data sequence-table --data.id id --data.target kind --data.columns size,price "
        "--model.net.width 4"), "table"),
    "forecast": Family("forecast", _flags(
        "--data forecast-table --data.target price --data.log false --data.context 6 "
        "--data.horizon 2 --model.net.width 4"), "table"),
    "text": Family(
        "text", _flags("--data text-table --data.target kind --data.text words"), "table"
    ),
    "ts": Family("sequence", _flags("--data ts-file --model.net.width 4"), "series.ts"),
    "image": Family("vision", _flags(
        "--data image-folder --data.test_fraction 0.2 --model.net.width 4"), "images"),
    "language": Family("transformer", _flags(
        "--data text-files --data.context 16 --model.net.width 8 --model.net.depth 1 "
        "--trainer.val_check_interval 1"), "book.txt"),
}  # fmt: skip
TABLES = ("tabular", "regression", "sequence", "forecast", "text")
SUFFIXES = ("csv", "tsv", "parquet", "jsonl")


@dataclass
class Scene:
    """Environment of a case.

    Attributes:
        base: folder with the valid files and runs.
        folder: working directory of the case, initially empty.
        canary: file that malicious code would create.
        chance: random generator with the seed of the case.
    """

    base: Path
    folder: Path
    canary: Path
    chance: random.Random

    def good(self, family: str, suffix: str = "csv") -> Path:
        """The file or folder that the run was trained on."""
        source = FAMILIES[family].source
        return self.base / (f"table.{suffix}" if source == "table" else source)

    def run(self, family: str) -> Path:
        """The checkpoint of the run."""
        return self.base / "runs" / family / "version_0" / "checkpoints" / "last.ckpt"

    def fit(self, family: str, path: Path, *more: str) -> list[str]:
        """Return the command that trains on a file."""
        found = FAMILIES[family]
        return [
            "fit",
            "--config",
            str(ROOT / "configs" / f"{found.config}.yaml"),
            "--name",
            family,
            *found.flags,
            *QUICK,
            "--data.path",
            str(path),
            *more,
        ]

    def code(self) -> str:
        """Python code that creates the canary file."""
        return CODE.format(str(self.canary))


@dataclass
class Attempt:
    """A command with hostile input.

    Attributes:
        argv: arguments of ``gdl``.
        what: description of the damage.
        harmless: whether the input may be readable data; otherwise it must be rejected.
    """

    argv: list[str]
    what: str
    harmless: bool = False


def prepare(base: Path) -> None:
    """Write valid files of every kind."""
    import pandas as pd
    from PIL import Image

    rows = 24
    frame = pd.DataFrame(
        {
            "id": [k // 4 for k in range(rows)],
            "size": [0.5 * k for k in range(rows)],
            "colour": ["red" if k % 3 else "blue" for k in range(rows)],
            "words": [f"some {'good' if k // 4 % 2 else 'bad'} words {k}" for k in range(rows)],
            "price": [100.0 + 7 * (k % 5) + k for k in range(rows)],
            "kind": ["ab"[k // 4 % 2] for k in range(rows)],
        }
    )
    frame.to_csv(base / "table.csv", index=False)
    frame.to_csv(base / "table.tsv", index=False, sep="\t")
    frame.to_parquet(base / "table.parquet")
    frame.to_json(base / "table.jsonl", orient="records", lines=True)
    body = [f"{k},2,?,4:1,1,{k},1:{'ab'[k % 2]}" for k in range(16)]
    header = "@problemName x\n@univariate false\n@classLabel true a b\n@data\n"
    (base / "series.ts").write_text(header + "\n".join(body) + "\n")
    (base / "book.txt").write_text("the cat sat on the mat. " * 40)
    for name, level in (("dark", 40), ("light", 200)):
        (base / "images" / name).mkdir(parents=True)
        for k in range(6):
            image = Image.new("RGB", (8, 8), (level, level + k, level))
            image.save(base / "images" / name / f"{k}.png")


def damaged(raw: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Return the bytes with one random damage, and its description."""
    size = len(raw)
    at = chance.randrange(size) if size else 0
    length = chance.randint(1, max(1, size // 4))
    junk = chance.randbytes(min(length, 2000))
    ways: dict[str, Callable[[], bytes]] = {
        "truncated": lambda: raw[:at],
        "empty": lambda: b"",
        "random": lambda: chance.randbytes(chance.randint(1, 5000)),
        "zeroed": lambda: raw[:at] + bytes(length) + raw[at + length :],
        "overwritten": lambda: raw[:at] + junk + raw[at + len(junk) :],
        "inserted": lambda: raw[:at] + junk + raw[at:],
        "cut out": lambda: raw[:at] + raw[at + length :],
        "repeated": lambda: raw[:at] + raw[at : at + length] * 3 + raw[at:],
        "UTF-16": lambda: raw.decode("latin-1").encode("utf-16"),
        "appended": lambda: raw + junk,
    }
    if chance.random() < 0.4 and size:
        flipped = bytearray(raw)
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            flipped[chance.randrange(size)] ^= 1 << chance.randrange(8)
        return bytes(flipped), "bits flipped"
    what = chance.choice(list(ways))
    return ways[what](), what


def used(scene: Scene, family: str, path: Path, what: str) -> Attempt:
    """Train on a file, or predict from it."""
    if scene.chance.random() < 0.5:
        return Attempt(scene.fit(family, path), f"{what}, fit {family}", harmless=True)
    argv = ["predict", str(scene.run(family)), "--input", str(path)]
    return Attempt(argv, f"{what}, predict {family}", harmless=True)
