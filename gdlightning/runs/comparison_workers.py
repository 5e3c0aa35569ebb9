"""Processes of ``gdl compare`` that share the trials of a study."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from gdlightning.study.space import Candidate
from gdlightning.study.stacked_trials import jobs, run
from gdlightning.study.store import Store, work
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload


def set_threads(given: argparse.Namespace, workloads: Sequence[Workload]) -> None:
    """Share the cores among workers; one thread is fastest for a small model."""
    import torch

    if given.follow or "OMP_NUM_THREADS" in os.environ:
        return
    small = all(w.small for w in workloads)
    torch.set_num_threads(1 if small else max(1, (os.cpu_count() or 1) // given.workers))


@contextlib.contextmanager
def workers(given: argparse.Namespace, folder: Path) -> Iterator[None]:
    """Run the same command in additional processes, which work on the same study.

    Args:
        given: options of the command line.
        folder: folder of the workers' logs.
    """
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    started: list[subprocess.Popen[bytes]] = []
    for k in range(1, given.workers):
        environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = str(k % gpus)
        argv = [a for a in sys.argv[1:] if a != "--follow"]
        log = (folder / f"worker_{k}.log").open("wb")
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "gdlightning", *argv, "--workers", "1", "--follow"],
                env=environment,
                stdout=log,
                stderr=log,
            )
        )
        log.close()
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait()


def evaluator(
    store: Store,
    workloads: Sequence[Workload],
    candidates: Sequence[Candidate],
    update: Callable[[Sequence[Trial], Mapping[str, TrialResult]], None],
    *,
    follow: bool,
) -> Callable[[list[Trial]], list[TrialResult]]:
    """Return a function that evaluates trials, shared with the other processes of the study.

    Args:
        store: results of the study.
        workloads: workloads by which trials are looked up.
        candidates: candidates by which trials are looked up.
        update: called with the trials and the results known so far.
        follow: whether this process is a worker, which exits after its parent.
    """
    named, labelled = {w.name: w for w in workloads}, {c.label: c for c in candidates}
    parent = os.getppid()

    def score(trial: Trial, outcome: TrialResult) -> float:
        made = named[trial.workload]
        return math.inf if outcome.failed else made.score(outcome.metrics)

    def train(job: list[Trial]) -> list[TrialResult]:
        if follow and os.getppid() != parent:  # the process that started this worker has ended
            raise SystemExit(0)
        return run(job, named, labelled)

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        wanted = jobs(trials, named, labelled)
        outcomes = work(store, wanted, train, score, lambda: update(trials, store.outcomes()))
        by_key = {t.key: o for t, o in zip((t for j in wanted for t in j), outcomes, strict=True)}
        update(trials, store.outcomes())
        return [by_key[t.key] for t in trials]

    return evaluate
