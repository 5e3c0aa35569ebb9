"""Run the study of ``gdl compare``: workloads, candidates and reports."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gdlightning.config.schema import Config
from gdlightning.errors import UserError, did_you_mean
from gdlightning.runs.comparison_budget import plan_within_budget
from gdlightning.runs.comparison_progress import ProgressReporter, say
from gdlightning.runs.comparison_workers import evaluator, set_threads, workers
from gdlightning.runs.config_workload import workload
from gdlightning.runs.load_config import load
from gdlightning.runs.quiet import quiet
from gdlightning.study.comparison import compare as run_comparison
from gdlightning.study.comparison_result import ComparisonResult, comparison_result
from gdlightning.study.search import StudyPlan
from gdlightning.study.space import TUNED, Candidate, dimensions, make_candidate
from gdlightning.study.store import Store
from gdlightning.study.study_journal import JOURNAL, in_words
from gdlightning.study.tensorboard import board
from gdlightning.study.workload import Workload

LABEL = r"\w[\w .:+-]{0,99}"
"""Pattern of the label of a search space, which is a part of file names."""


def compare(
    given: argparse.Namespace,
    paths: Sequence[str | Config],
    flags: list[str],
    plan: StudyPlan,
    command: str,
) -> tuple[ComparisonResult, Path]:
    """Run a study, or resume one that was interrupted.

    Args:
        given: options of the command line.
        paths: config files, or checked configs.
        flags: flags of ``gdl fit`` that change the configs.
        plan: trials, seeds and search.
        command: command that started the study, for the report.

    Returns:
        The result, and the folder of the study.

    Raises:
        UserError: if a config or option is wrong; raised before anything is trained.
    """
    quiet()
    workloads = _workloads(given, paths, flags)
    candidates = _candidates(given, plan, workloads)
    set_threads(given, workloads)
    folder = folder_of(given.output, paths)
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {folder} cannot be created: {error.strerror}.") from error
    about = _about(given, plan, workloads, candidates, flags)
    where = given.storage or folder
    store = Store(where, "compare", about)
    if store.damaged and not given.follow:
        say(_damaged(folder, store.damaged))
    targets = {} if given.target is None else {w.name: given.target for w in workloads}
    reporter = ProgressReporter(folder, command, targets, silent=given.follow)
    with in_words(where):
        if given.budget:
            created = folder if new else None
            plan = plan_within_budget(given, plan, workloads, candidates, store, created)
            candidates = _candidates(given, plan, workloads)
        with workers(given, folder), store.alive(), reporter.progress() as update:
            evaluate = evaluator(store, workloads, candidates, update, follow=given.follow)
            comparison = run_comparison(workloads, candidates, plan, evaluate, reporter)
    if not given.follow:
        board(folder / "tensorboard", comparison)
    return comparison_result(comparison, targets), folder


def _workloads(
    given: argparse.Namespace, paths: Sequence[str | Config], flags: list[str]
) -> list[Workload]:
    """Return the workloads of the configs.

    Raises:
        UserError: if a config is wrong, or two workloads have the same name.
    """
    found: list[Workload] = []
    for path in paths:
        config = path if isinstance(path, Config) else load(["--config", path, *flags])[0]
        made = workload(config, given.steps, given.metric)
        made.name = _name(path) if config.values["name"] in {w.name for w in found} else made.name
        found.append(made)
    if len({w.name for w in found}) < len(found):
        raise UserError(
            "--configs: two workloads have the same name. Set name in one of the configs."
        )
    return found


def _candidates(
    given: argparse.Namespace, plan: StudyPlan, workloads: Sequence[Workload]
) -> list[Candidate]:
    """Return the optimizers to compare, with their search spaces.

    Raises:
        UserError: if an option is wrong.
    """
    own = read_space(given.space)
    names = [n.strip() for n in given.optimizers.split(",") if n.strip()]
    names = [*own, *(n for n in names if n not in own)] if given.space and not names else names
    unknown = [label for label in own if label not in names]
    if unknown:
        raise UserError(
            f"--space contains {unknown[0]}, which is not in --optimizers."
            f"{did_you_mean(unknown[0], names)}"
        )
    if len(set(names)) < len(names):
        raise UserError("--optimizers contains a name twice. Give it a second label in --space.")
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
        raise UserError("--optimizers is empty. Set it to a list, such as adamw,sgd,muon.")
    return made


def _about(
    given: argparse.Namespace,
    plan: StudyPlan,
    workloads: Sequence[Workload],
    candidates: Sequence[Candidate],
    flags: list[str],
) -> dict[str, Any]:
    """Return the settings that identify a study; it resumes only if they are unchanged."""
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


def _damaged(folder: Path, lines: Sequence[int]) -> str:
    """Return the message for damaged lines of the journal."""
    several = len(lines) > 1
    shown = ", ".join(map(str, lines[:5])) + (", …" if len(lines) > 5 else "")
    return (
        f"Note: {folder / JOURNAL}, line{'s' * several} {shown} {'are' if several else 'is'} "
        "damaged; the trials recorded there are run again."
    )


def read_space(path: str | None) -> dict[str, dict[str, Any]]:
    """Return custom search spaces by label; empty without a file.

    Args:
        path: YAML file of ``--space``.

    Raises:
        UserError: if the file is missing or is not a mapping of labels to options.
    """
    if path is None:
        return {}
    from gdlightning.config.settings import read_yaml

    found = read_yaml(path)
    for label, own in found.items():
        if not re.fullmatch(LABEL, str(label)):
            raise UserError(
                f"{path}: {str(label)[:40]!r} is not a valid label. Use letters and digits."
            )
        if not isinstance(own, Mapping):
            raise UserError(
                f"{path}: {label} must be a mapping of options to ranges (got {own}), such as\n"
                f"{label}: {{lr: [1e-4, 1e-1]}}"
            )
    return {str(k): dict(v) for k, v in found.items()}


def plain(value: Any) -> Any:
    """Return a value as it is read back from JSON."""
    return json.loads(json.dumps(value))


def _name(config: str | Config) -> str:
    return str(config.values["name"]) if isinstance(config, Config) else Path(config).stem


def folder_of(output: str | None, configs: Sequence[str | Config]) -> Path:
    """Return the folder of a study, named after its configs by default."""
    return Path(output) if output else Path("studies") / "+".join(map(_name, configs))
