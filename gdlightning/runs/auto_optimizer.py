"""``optimizer: auto`` and ``gdl recommend``: from a config to the optimizer that is recommended."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gdlightning.config.given_objects import Objects
from gdlightning.config.schema import check
from gdlightning.config.settings import Setting
from gdlightning.errors import UserError
from gdlightning.runs.config_workload import total_steps, workload
from gdlightning.study.recommend import Recommendation, recommend
from gdlightning.study.short_runs import ShortRunsResult
from gdlightning.study.task_profile import TaskProfile, task_profile

ORIGIN = "optimizer: auto"


def recommended(
    merged: Mapping[str, Setting], measured: bool, objects: Objects | None = None
) -> tuple[TaskProfile, Recommendation, ShortRunsResult | None]:
    """What is recommended for the task of some settings.

    Args:
        merged: the settings, without an optimizer.
        measured: whether short trainings may refine it.
        objects: Python objects that settings name but cannot store, by dotted key.

    Raises:
        UserError: the settings are wrong, or do not say how long to train.
    """
    config = check(dict(merged), None if objects is None else Objects(objects, copied=True))
    made = workload(config)
    given = config.values
    facts = task_profile(
        made.module(), made.data, total_steps(config, made.data),
        finetuning=bool(given.get("init_from")),
        accelerator=str(given["trainer"].get("accelerator") or "auto"),
    )  # fmt: skip
    found = recommend(facts)
    if not measured:
        return facts, found, None
    from gdlightning.study.short_runs import measure

    if "clip.name" not in merged:
        made.clip = found.sections.get("clip")
    schedule = made.schedule or found.sections.get("schedule") or {"name": "constant"}
    candidates = [found.sections["optimizer"], *found.others]
    refined = measure(made, candidates, schedule)
    found.sections["optimizer"] = refined.optimizer
    if refined.optimizer["name"] != "adagrad":
        found.sections.setdefault("schedule", {"name": "cosine", "warmup": 0.05})
    return facts, found, refined


def without_optimizer(merged: Mapping[str, Setting]) -> dict[str, Setting]:
    """The settings but for those of the optimizer."""
    return {k: s for k, s in merged.items() if k.partition(".")[0] != "optimizer"}


def settle(
    merged: dict[str, Setting], objects: Objects | None = None
) -> tuple[dict[str, Setting], str]:
    """Settings with what is recommended in place of ``optimizer: auto``, and what was chosen.

    What the user has set of schedule, clipping and groups stays.

    Raises:
        UserError: ``auto`` was given options that it has not.
    """
    own = {k.removeprefix("optimizer."): s for k, s in merged.items() if k.startswith("optimizer.")}
    own.pop("name")
    measured = own.pop("measure", None)
    if own:
        raise UserError(
            f"optimizer: auto has no option {next(iter(own))}; it chooses the options itself.\n"
            "It has one: measure, whether short trainings may refine the choice.",
            key="optimizer",
        )
    switch = measured is not None and str(measured.value).lower() == "true"
    if measured is not None and str(measured.value).lower() not in ("true", "false"):
        raise UserError(
            f"optimizer.measure is {measured.value}; write true or false.", key="optimizer.measure"
        )
    rest = without_optimizer(merged)
    if switch:
        print("Measuring which optimizer to use …", file=sys.stderr)
    _, found, refined = recommended(rest, switch, objects)
    settled = dict(rest)
    for section, options in found.sections.items():
        if section != "groups" and f"{section}.name" in rest:
            continue
        for key, value in _flat(options).items():
            settled.setdefault(f"{section}.{key}", Setting(f"{section}.{key}", value, ORIGIN))
    words = refined.words if refined else f"{found.reasons[0].why} ({found.reasons[0].source})."
    chosen = found.sections["optimizer"]
    shown = ", ".join(f"{k} {v}" for k, v in chosen.items() if k != "name")
    return settled, f"optimizer auto is {chosen['name']}, {shown}: {words}"


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
