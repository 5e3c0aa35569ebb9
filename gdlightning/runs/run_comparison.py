"""The work of ``gdl compare``: workloads, candidates, workers, progress and reports."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

from gdlightning.callbacks.stop_conditions import seconds_of
from gdlightning.config.schema import Config
from gdlightning.errors import UserError, did_you_mean
from gdlightning.runs.config_workload import workload
from gdlightning.runs.load_config import load
from gdlightning.runs.quiet import quiet
from gdlightning.storage.typed_rows import mismatch
from gdlightning.study import budget
from gdlightning.study import comparison_report as report
from gdlightning.study.comparison import Comparison
from gdlightning.study.comparison import compare as run_comparison
from gdlightning.study.comparison_result import ComparisonResult, comparison_result
from gdlightning.study.search import StudyPlan
from gdlightning.study.space import TUNED, Candidate, dimensions, make_candidate
from gdlightning.study.stacked_trials import jobs, run
from gdlightning.study.store import Store, work
from gdlightning.study.study_journal import JOURNAL, in_words
from gdlightning.study.tensorboard import board
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload

LABEL = r"\w[\w .:+-]{0,99}"
"""A label of a search space, which is a part of file names."""
EVERY = 20.0
"""Seconds between two reports of a study that is under way."""


def compare(
    given: argparse.Namespace,
    paths: Sequence[str | Config],
    flags: list[str],
    plan: StudyPlan,
    command: str,
) -> tuple[ComparisonResult, Path]:
    """Run a study to its end, or go on with one.

    Raises:
        UserError: whatever is wrong, before anything is trained.
    """
    quiet()
    workloads = _workloads(given, paths, flags)
    candidates = _candidates(given, plan, workloads)
    _set_threads(given, workloads)
    folder = folder_of(given.output, paths)
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder} can't be made: {error.strerror}.") from error
    about = _about(given, plan, workloads, candidates, flags)
    where = given.storage or folder
    store = Store(where, "compare", about)
    if store.damaged and not given.follow:
        say(_left_out(folder, store.damaged))
    targets = {} if given.target is None else {w.name: given.target for w in workloads}
    show = _Shower(folder, command, targets, silent=given.follow)
    with in_words(where):
        if given.budget:
            plan = _budgeted(given, plan, workloads, candidates, store, folder if new else None)
            candidates = _candidates(given, plan, workloads)
        with _workers(given, folder), store.alive(), show.progress() as told:
            comparison = run_comparison(
                workloads, candidates, plan,
                _evaluate(store, workloads, candidates, told, given), show,
            )  # fmt: skip
    if not given.follow:
        board(folder / "tensorboard", comparison)
    return comparison_result(comparison, targets), folder


class _Kept(TypedDict):
    trials: int
    steps: list[int]


def _workloads(
    given: argparse.Namespace, paths: Sequence[str | Config], flags: list[str]
) -> list[Workload]:
    found: list[Workload] = []
    for path in paths:
        config = path if isinstance(path, Config) else load(["--config", path, *flags])[0]
        made = workload(config, given.steps, given.metric)
        made.name = _name(path) if config.values["name"] in {w.name for w in found} else made.name
        found.append(made)
    if len({w.name for w in found}) < len(found):
        raise UserError("--configs: two workloads have the same name; give one another with name:.")
    return found


def _set_threads(given: argparse.Namespace, workloads: Sequence[Workload]) -> None:
    """Share the cores among workers; a small model is trained fastest by one thread."""
    import torch

    if given.follow or "OMP_NUM_THREADS" in os.environ:
        return
    small = all(w.small for w in workloads)
    torch.set_num_threads(1 if small else max(1, (os.cpu_count() or 1) // given.workers))


def _candidates(
    given: argparse.Namespace, plan: StudyPlan, workloads: Sequence[Workload]
) -> list[Candidate]:
    own = read_space(given.space)
    names = [n.strip() for n in given.optimizers.split(",") if n.strip()]
    names = [*own, *(n for n in names if n not in own)] if given.space and not names else names
    unknown = [label for label in own if label not in names]
    if unknown:
        raise UserError(
            f"--space has {unknown[0]}, which --optimizers does not name."
            f"{did_you_mean(unknown[0], names)}"
        )
    if len(set(names)) < len(names):
        raise UserError("--optimizers names one twice; --space gives it a second label.")
    tuned = dimensions(plan.trials) if given.tune is None else tuple(given.tune.split(","))
    for name in tuned:
        if name not in TUNED:
            raise UserError(f"--tune: there is no {name}.{did_you_mean(name, TUNED)}")
    schedules = [w.schedule for w in workloads]
    schedule = schedules[0] if all(s == schedules[0] for s in schedules) else None
    made = []
    for name in names:
        options = dict(own.get(name, {}))
        optimizer = options.pop("optimizer", name)
        made.append(make_candidate(name, optimizer, schedule, tuned=tuned, own=options or None))
    if not made:
        raise UserError("--optimizers is empty; write such as adamw,sgd,muon.")
    return made


def _about(
    given: argparse.Namespace, plan: StudyPlan, workloads: Sequence[Workload],
    candidates: Sequence[Candidate], flags: list[str],
) -> dict[str, Any]:  # fmt: skip
    """What makes a study this one and no other."""
    spaces = [] if given.budget else [asdict(c) for c in candidates]
    about: dict[str, Any] = plain(
        {
            "optimizers": given.optimizers,
            "spaces": spaces,
            "flags": flags,
            "workloads": [[w.name, w.steps, w.metric] for w in workloads],
            "plan": asdict(plan),
            "budget": given.budget,
            "space": read_space(given.space),
        }
    )
    return about


def _left_out(folder: Path, lines: Sequence[int]) -> str:
    """Words for lines of the journal that are damaged."""
    several = len(lines) > 1
    shown = ", ".join(map(str, lines[:5])) + (", …" if len(lines) > 5 else "")
    return (
        f"Note: {folder / JOURNAL}, line{'s' * several} {shown} {'are' if several else 'is'} "
        "damaged; the trials that were told of there are run again."
    )


def _budgeted(
    given: argparse.Namespace, plan: StudyPlan, workloads: Sequence[Workload],
    candidates: Sequence[Candidate], store: Store, new: Path | None,
) -> StudyPlan:  # fmt: skip
    """The plan that fits; a study without one leaves nothing, nor its new folder."""
    try:
        return _within_budget(given, plan, workloads, candidates, store)
    except BaseException:  # too little time, or a stop meanwhile
        if store.forget() and new:
            with contextlib.suppress(OSError):  # somebody put something there
                new.rmdir()
        raise


def _within_budget(
    given: argparse.Namespace, plan: StudyPlan, workloads: Sequence[Workload],
    candidates: Sequence[Candidate], store: Store,
) -> StudyPlan:  # fmt: skip
    """The plan that fits, measured once a study: a study that goes on keeps its plan."""
    kept = store.kept("plan")
    if mismatch(kept, _Kept) or len(kept["steps"]) != len(workloads):
        seconds = (seconds_of(given.budget) or 0.0) * given.workers
        costs = [[budget.measure(w, c) for c in candidates] for w in workloads]
        plan, factor = budget.fit(plan, [w.steps for w in workloads], costs, seconds)
        kept = {"trials": plan.trials, "steps": [int(w.steps * factor) for w in workloads]}
        store.keep("plan", kept)
    lengths = [w.steps for w in workloads]
    for made, steps in zip(workloads, kept["steps"], strict=True):
        made.steps = steps
    if not given.follow:
        shorter = f", trainings of {kept['steps']} steps instead of {lengths}"
        say(
            f"{given.budget}: {kept['trials']} trials of each optimizer"
            f"{shorter if kept['steps'] != lengths else ''}."
        )
    return replace(plan, trials=kept["trials"])


def _evaluate(
    store: Store, workloads: Sequence[Workload], candidates: Sequence[Candidate], told: Any,
    given: argparse.Namespace,
) -> Any:  # fmt: skip
    """What gives the comparison its outcomes: this process's work and that of others."""
    named, labelled = {w.name: w for w in workloads}, {c.label: c for c in candidates}
    parent = os.getppid()

    def score(trial: Trial, outcome: TrialResult) -> float:
        made = named[trial.workload]
        return math.inf if outcome.failed else made.score(outcome.metrics)

    def train(job: list[Trial]) -> list[TrialResult]:
        if given.follow and os.getppid() != parent:  # who started this worker is gone
            raise SystemExit(0)
        return run(job, named, labelled)

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        wanted = jobs(trials, named, labelled)
        outcomes = work(store, wanted, train, score, lambda: told(trials, store.outcomes()))
        by_key = {t.key: o for t, o in zip((t for j in wanted for t in j), outcomes, strict=True)}
        told(trials, store.outcomes())
        return [by_key[t.key] for t in trials]

    return evaluate


class _Shower:
    """Progress on the terminal, and the report as far as it is known."""

    def __init__(
        self, folder: Path, command: str, targets: Mapping[str, float], silent: bool
    ) -> None:
        self.folder, self.command, self.targets, self.silent = folder, command, targets, silent
        self.bar: Any = None
        self._counted: set[str] = set()
        self._written = -math.inf

    def __call__(self, comparison: Comparison) -> None:
        """Write what is known, now and then and at the end."""
        if self.silent:
            return
        if self.bar is not None and self.bar.total != comparison.steps:
            self.bar.total = comparison.steps
            self.bar.refresh()
        due = time.monotonic() - self._written > EVERY
        if comparison.done or due:
            found = comparison_result(comparison, self.targets)
            report.write(self.folder, comparison, found, self.command, versions())
            self._written = time.monotonic()

    @contextlib.contextmanager
    def progress(self) -> Iterator[Any]:
        """A bar over optimizer steps, which tells the time left."""
        from tqdm import tqdm

        with tqdm(
            unit=" steps", unit_scale=True, disable=self.silent or None, dynamic_ncols=True,
            file=sys.stderr, smoothing=0.05, leave=False,
        ) as bar:  # fmt: skip
            self.bar = bar
            yield self._told

    def _told(self, trials: Sequence[Trial], known: Mapping[str, TrialResult]) -> None:
        for trial in trials:
            if trial.key in known and trial.key not in self._counted:
                self._counted.add(trial.key)
                self.bar.update(trial.steps)


@contextlib.contextmanager
def _workers(given: argparse.Namespace, folder: Path) -> Iterator[None]:
    """The same command in further processes, which work on the same study."""
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


def read_space(path: str | None) -> dict[str, dict[str, Any]]:
    """One's own search spaces by label.

    Raises:
        UserError: the file is missing, or holds something else.
    """
    if path is None:
        return {}
    from gdlightning.config.settings import read_yaml

    found = read_yaml(path)
    for label, own in found.items():
        if not re.fullmatch(LABEL, str(label)):
            raise UserError(f"{path}: {str(label)[:40]!r} is no label; write letters and digits.")
        if not isinstance(own, Mapping):
            raise UserError(
                f"{path}: {label} holds {own}; write options with their ranges, such as\n"
                f"{label}: {{lr: [1e-4, 1e-1]}}"
            )
    return {str(k): dict(v) for k, v in found.items()}


def versions() -> dict[str, str]:
    """Of what decides the result."""
    import importlib.metadata
    import platform

    found = {"Python": platform.python_version()}
    for name in ("gdlightning", "torch", "lightning", "pytorch-optimizer", "optuna"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def say(line: str) -> None:
    """Tell a person, beside the output."""
    print(line, file=sys.stderr, flush=True)


def plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value))


def _name(config: str | Config) -> str:
    return str(config.values["name"]) if isinstance(config, Config) else Path(config).stem


def folder_of(output: str | None, configs: Sequence[str | Config]) -> Path:
    """Where a study is kept."""
    return Path(output) if output else Path("studies") / "+".join(map(_name, configs))
