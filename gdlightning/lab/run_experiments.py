"""Run experiments: seeds in parallel, each stored as soon as it is measured."""

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
    """Result of an experiment.

    Args:
        experiment: experiment that was run.
        found: measurements of each seed.
        outcome: conclusion from all seeds.
        seconds: total time of all seeds.
    """

    experiment: Experiment
    found: Sequence[Found]
    outcome: Conclusion
    seconds: float

    @property
    def card(self) -> Card:
        """The description of the experiment."""
        return self.experiment.card


def run(name: str, folder: Path, seeds: int | None = None, workers: int | None = None) -> Result:
    """Measure the seeds that are not stored yet, and conclude.

    The record of each seed is written to ``folder/seeds`` as soon as it is complete. Existing
    records are used if they come from the same code and the same version of torch.

    Args:
        name: name of the experiment.
        folder: existing output folder.
        seeds: number of seeds, starting at 0; by default, that of the experiment.
        workers: number of processes; by default, one per core. Experiments that measure time
            always use one.

    Raises:
        UserError: No experiment has this name.
        StorageError: A record cannot be written.
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
    """Measure one seed in a separate process, on one thread so that sums are reproducible."""
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
    """Return the record in a file, or None if it is incomplete or measured by other code."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if mismatch(record, _Record) or record["digest"] != _digest(record["found"]):
        return None
    return record if record["by"] == _by(known) else None


def _digest(found: Found) -> str:
    """Return a digest of the measurements of a seed."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _by(known: Card) -> str:
    return f"{known.digest[:16]}, torch {torch.__version__}"
