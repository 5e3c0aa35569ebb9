"""Options that differ from those of the checkpoint that a run is resumed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as L
from torch import nn
from torch.optim import Optimizer

from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import COMPOSED, Choice
from gdlightning.optimizers.groups import Grouping
from gdlightning.runs.build_run import Training, build_grouping
from gdlightning.runs.load_run import config_of
from gdlightning.runs.run_folder import plain
from gdlightning.schedules.scheduler import Scheduler

Changes = list[dict[str, Any]]


def check_parts(record: Mapping[str, Any], content: Mapping[str, Any], training: Training) -> None:
    """Refuse to resume with another optimizer or network, whose state cannot be continued.

    Args:
        record: What the checkpoint knows of its run.
        content: The checkpoint.
        training: What is to be trained.

    Raises:
        UserError: The optimizer is another one, or weights have other names or shapes.
    """
    before, now = record["config"], plain(training.config.values)
    for key in ("name", *COMPOSED):
        former, wanted = (c["optimizer"].get(key) for c in (before, now))
        if _names(former) != _names(wanted):
            raise UserError(
                f"resume: optimizer.{key} was {former}, now {wanted}: the optimizer's state cannot "
                f"be continued.\n{NEW_RUN}",
                key="resume",
            )
    if before.get("model") == now.get("model"):
        return
    saved, own = content["state_dict"], training.module.state_dict()
    for name in (*saved, *own):
        former, wanted = (getattr(s.get(name), "shape", None) for s in (saved, own))
        if former != wanted:
            shapes = ", ".join("none" if s is None else str(tuple(s)) for s in (former, wanted))
            raise UserError(
                f"resume: the model is not that of the run: {name} differs in shape ({shapes}).\n"
                f"{NEW_RUN}",
                key="resume",
            )


NEW_RUN = "Start a new run from the weights instead: --init_from RUN, without --resume."


def changed_options(record: Mapping[str, Any], training: Training) -> Callable[[L.Trainer], None]:
    """Return a function that lets changed options of optimizer and schedule take effect.

    A checkpoint holds the options of each parameter group. Those that the config has changed since
    are set again after it is restored.

    Args:
        record: What the checkpoint knows of its run.
        training: What is to be trained.
    """
    before, now = record["config"], plain(training.config.values)
    if all(before.get(key) == now.get(key) for key in ("optimizer", "groups", "schedule")):
        return lambda trainer: None
    former = config_of(dict(record), "the checkpoint")
    frozen = {name: p.requires_grad for name, p in training.module.named_parameters()}
    old = _groups(training.module, former.choice, build_grouping(former))
    new = _groups(training.module, training.optimization.choice, build_grouping(training.config))
    for name, parameter in training.module.named_parameters():
        parameter.requires_grad_(frozen[name])
    same = [g["size"] for g in old] == [g["size"] for g in new]
    if not same or _frozen(before) != _frozen(now):
        raise UserError(
            "resume: the parameter groups hold other parameters than before (groups): the "
            f"optimizer's state cannot be continued.\n{NEW_RUN}",
            key="resume",
        )
    changes = [
        {key: value for key, value in there.items() if here.get(key) != value}
        for here, there in zip(old, new, strict=True)
    ]

    def apply(trainer: L.Trainer) -> None:
        for optimizer in trainer.optimizers:
            _set(optimizer, changes)
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, Scheduler):
                peaks = config.scheduler.base_lrs
                for k, change in enumerate(changes):
                    peaks[k] = change.get("lr", peaks[k])
                config.scheduler.refresh()

    return apply


def longer_schedule(
    how: str, content: Mapping[str, Any], training: Training
) -> Callable[[L.Trainer], None]:
    """Return a function that lets the schedule of a longer run continue, and reports how.

    Args:
        how: ``stretch``, ``restart`` or ``constant``.
        content: The checkpoint.
        training: What is to be trained.

    Raises:
        UserError: The learning rate would stay 0.
    """
    schedule, step = training.optimization.schedule, content["global_step"]
    states = [s for s in content.get("lr_schedulers", ()) if "begin" in s]
    end = states[0]["end"] or states[0]["total"] if states else step
    begin, now = (states[0]["begin"], states[0]["last_epoch"]) if states else (0, step)
    decays = bool(states) and not schedule.endless
    if how == "constant" and decays and schedule.factor(end - begin - 1, end - begin) == 0:
        raise UserError(
            f"resume_schedule constant: the schedule {schedule.name} ends at learning rate 0 (step "
            f"{end:,}), so that the additional steps would train nothing.\n"
            "Write stretch or restart.",
            key="resume_schedule",
        )

    def apply(trainer: L.Trainer) -> None:
        schedulers = [c.scheduler for c in trainer.lr_scheduler_configs]
        rates = []
        for scheduler in (s for s in schedulers if isinstance(s, Scheduler)):
            rates.append(scheduler.optimizer.param_groups[0]["lr"])
            if how == "restart":
                scheduler.restart(now)
            elif how == "constant":
                scheduler.hold(end)
            else:
                scheduler.stretch()
            rates.append(scheduler.optimizer.param_groups[0]["lr"])
        if trainer.is_global_zero:
            total = trainer.estimated_stepping_batches
            print(f"Training until step {total:,}. {_said(how, rates, end, decays)}")

    def _said(how: str, rates: list[float], end: int, decays: bool) -> str:
        if not rates:
            return "Schedulers of the module continue from their saved state."
        if not decays:
            return f"The schedule {schedule.name} does not depend on the length."
        if how == "constant":
            return (
                f"The schedule {schedule.name} is kept; after step {end:,} its last learning "
                "rate is used."
            )
        verb = {"restart": "restarts here", "stretch": "is stretched to the new length"}[how]
        return (
            f"The schedule {schedule.name} {verb}: the learning rate changes from "
            f"{rates[0]:.3g} to {rates[1]:.3g}."
        )

    return apply


def _set(optimizer: Optimizer, changes: Changes) -> None:
    for group, change in zip(optimizer.param_groups, changes, strict=False):
        group.update(change)
        if "lr" in change and "initial_lr" in group:
            group["initial_lr"] = change["lr"]


def _groups(module: nn.Module, choice: Choice, grouping: Grouping) -> Changes:
    optimizer, _ = build(choice, module, grouping, Context())
    return [
        {k: v for k, v in g.items() if k != "params"} | {"size": len(g["params"])}
        for g in optimizer.param_groups
    ]


def _frozen(config: Mapping[str, Any]) -> list[Any]:
    groups = config.get("groups", {})
    rules = [rule["pattern"] for rule in groups.get("rules") or () if rule.get("freeze")]
    return [groups.get("freeze"), rules]


def _names(value: Any) -> Any:
    """Return a composition without its options: the names of what it consists of."""
    if isinstance(value, Mapping):
        return value.get("name", sorted(value))
    return [_names(v) for v in value] if isinstance(value, list | tuple) else value
