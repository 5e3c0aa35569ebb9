"""Trials that only differ in learning rate, weight decay or seed, run as one stacked model."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Mapping, Sequence

from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice
from gdlightning.study.space import Candidate
from gdlightning.study.stacked_optimizer import accepted
from gdlightning.study.train_many import Variation, train_many
from gdlightning.study.trial import Trial, TrialResult, train
from gdlightning.study.workload import Workload

VARIED = ("lr", "weight_decay")
MAX_COPIES = 32
"""Maximum number of copies in a stack."""


def jobs(
    trials: Sequence[Trial],
    workloads: Mapping[str, Workload],
    candidates: Mapping[str, Candidate],
) -> list[list[Trial]]:
    """Group trials into lists that are run together, in order, depending on the trials alone."""
    stacks: dict[str, list[Trial]] = {}
    for trial in trials:
        key = trial.key
        if stackable(trial, workloads, candidates):
            rest = {k: v for k, v in trial.settings.items() if k not in VARIED}
            key = json.dumps([trial.workload, trial.candidate, trial.steps, trial.seed, rest])
        stacks.setdefault(key, []).append(trial)
    return [s[k : k + MAX_COPIES] for s in stacks.values() for k in range(0, len(s), MAX_COPIES)]


def stackable(
    trial: Trial, workloads: Mapping[str, Workload], candidates: Mapping[str, Candidate]
) -> bool:
    """Return whether a trial can be part of a stack."""
    if trial.purpose not in ("tuning", "sweep") or not workloads[trial.workload].stacks:
        return False
    try:
        accepted(Choice.of(candidates[trial.candidate].optimizer))
    except UserError:
        return False
    return True


def run(
    job: Sequence[Trial],
    workloads: Mapping[str, Workload],
    candidates: Mapping[str, Candidate],
) -> list[TrialResult]:
    """Run a job and return its outcomes in order."""
    first = job[0]
    workload, candidate = workloads[first.workload], candidates.get(first.candidate)
    if candidate is not None and len(job) > 1:
        try:
            return _stacked(job, workload, candidate)
        except UserError:  # the net has an operation that cannot be stacked
            workload.without_stacks()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [train(workload, candidate, trial) for trial in job]


def _stacked(job: Sequence[Trial], workload: Workload, candidate: Candidate) -> list[TrialResult]:
    rest = {k: v for k, v in job[0].settings.items() if k not in VARIED}
    optimizer, schedule = candidate.configured(rest)
    variations = [
        Variation(t.settings.get("lr"), t.settings.get("weight_decay"), t.seed) for t in job
    ]
    began = time.perf_counter()
    found = train_many(
        workload.module,  # type: ignore[arg-type]
        workload.data,  # type: ignore[arg-type]
        variations,
        steps=job[0].steps,
        optimizer=optimizer,
        schedule=schedule,
        clip=workload.max_norm or None,
        groups=workload.grouping,
    )
    seconds = (time.perf_counter() - began) / len(job)
    return [
        TrialResult(
            {"val_loss": one.val_loss} if math.isfinite(one.val_loss) else {},
            seconds=seconds,
            stacked=len(job),
            failed="" if math.isfinite(one.val_loss) else "the final loss is not finite",
        )
        for one in found
    ]
