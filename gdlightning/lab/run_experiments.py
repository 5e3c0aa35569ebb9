"""Running an experiment: its seeds side by side, each kept as soon as it is there."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from tqdm.auto import tqdm

from gdlightning.lab.conclusion import Conclusion
from gdlightning.lab.experiment import Card, Experiment, Found, load
from gdlightning.storage.atomic_write import plain_numbers, write_json
from gdlightning.storage.typed_rows import mismatch


@dataclass(frozen=True)
class Result:
    """An experiment that was run.

    Args:
        experiment: that was.
        found: what each seed showed.
        outcome: what they show together.
        seconds: that the seeds took, summed.
    """

    experiment: Experiment
    found: Sequence[Found]
    outcome: Conclusion
    seconds: float

    @property
    def card(self) -> Card:
        """What is said of it."""
        return self.experiment.card


def run(name: str, folder: Path, seeds: int | None = None, workers: int | None = None) -> Result:
    """Measure what is not yet there, and conclude.

    Each seed's record is written to ``folder/seeds`` as soon as it is made. One that stands there
    is taken, if the same code and the same torch made it.

    Args:
        name: of the experiment.
        folder: to write to; it exists.
        seeds: how many, from 0; the experiment's own number if not given.
        workers: processes; as many as there are cores, one for what measures time.

    Raises:
        UserError: there is no such experiment.
        StorageError: a record can't be written.
    """
    experiment = load(name)
    known = experiment.card
    kept = folder / "seeds"
    kept.mkdir(exist_ok=True)
    files = [kept / f"{name}-{seed}.json" for seed in range(seeds or known.seeds)]
    lacking = [seed for seed, file in enumerate(files) if _read(file, known) is None]
    count = 1 if known.alone else min(workers or os.cpu_count() or 1, len(lacking))
    context = multiprocessing.get_context("spawn")
    with tqdm(
        total=len(files),
        desc=name,
        initial=len(files) - len(lacking),
        disable=None,
        unit="seed",
        leave=False,
    ) as bar:
        if lacking:
            with ProcessPoolExecutor(count, mp_context=context) as pool:
                made = [pool.submit(_measure, name, seed, files[seed]) for seed in lacking]
                for one in as_completed(made):
                    one.result()
                    bar.update()
    records = [record for file in files if (record := _read(file, known)) is not None]
    found = [record["found"] for record in records]
    return Result(experiment, found, experiment.conclude(found), sum(r["seconds"] for r in records))


def _measure(name: str, seed: int, file: Path) -> None:
    """In a process of its own: one seed, on one thread, so that sums have the same order."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    experiment = load(name)
    begun = time.perf_counter()
    found = json.loads(json.dumps(plain_numbers(experiment.measure(seed))))
    record = {"by": _by(experiment.card), "seed": seed, "found": found, "digest": _digest(found)}
    write_json(file, record | {"seconds": time.perf_counter() - begun})


class _Record(TypedDict):
    by: str
    found: dict[str, Any]
    digest: str
    seconds: float


def _read(file: Path, known: Card) -> Any:
    """Return the record in a file; None if it is no whole one, or was made by other code."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if mismatch(record, _Record) or record["digest"] != _digest(record["found"]):
        return None
    return record if record["by"] == _by(known) else None


def _digest(found: Found) -> str:
    """Return a checksum of what a seed showed."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _by(known: Card) -> str:
    return f"{known.digest[:16]}, torch {torch.__version__}"
