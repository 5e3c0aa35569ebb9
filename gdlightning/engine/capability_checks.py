"""What an optimizer can't do by its entry: refused with the reason, before a step is trained."""

from __future__ import annotations

import lightning.pytorch as L

from gdlightning.clipping import Clip
from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.entry import CLAUSES
from gdlightning.optimizers.groups import Grouping
from gdlightning.schedules import Schedule

WITHOUT = {
    "schedule": "Write schedule: constant (--schedule constant), without a warm-up.",
    "groups": "Leave groups.layer_decay and the lr and weight_decay of groups.rules out.",
    "clipping": "Write clip: none (--clip none).",
    "accumulation": "Leave trainer.accumulate_grad_batches and data.micro_batch_size out.",
    "frozen": "Leave groups.freeze out.",
    "bf16": "Write trainer.precision: bf16-mixed or 32-true.",
    "ddp": "Write trainer.devices: 1.",
    "resume": "Start a new run: leave --resume out.",
}
"""Clause → how to do without it."""


def asked_of_optimization(schedule: Schedule, clip: Clip, grouping: Grouping) -> set[str]:
    """The clauses that schedule, clipping and groups rely on."""
    rules = grouping.rules
    asked = {
        "schedule": schedule.name != "constant" or bool(schedule.warmup),
        "clipping": type(clip).__name__ != "NoClip",
        "groups": grouping.layer_decay != 1
        or any(r.lr is not None or r.weight_decay is not None for r in rules),
        "frozen": bool(grouping.freeze) or any(r.freeze for r in rules),
    }
    return {clause for clause, holds in asked.items() if holds}


def asked_of_trainer(trainer: L.Trainer) -> set[str]:
    """The clauses that a Trainer relies on."""
    asked = {
        "accumulation": trainer.accumulate_grad_batches > 1,
        "bf16": trainer.precision == "bf16-true",
        "ddp": trainer.world_size > 1,
        "resume": getattr(trainer, "ckpt_path", None) is not None,
    }
    return {clause for clause, holds in asked.items() if holds}


def refuse(choice: Choice, asked: set[str]) -> None:
    """Refuse what any optimizer of a choice can't do.

    Args:
        choice: of an optimizer, and of those beside it.
        asked: clauses that the training relies on.

    Raises:
        UserError: with the reason that the entry gives, and how to do without.
    """
    for entry in choice.entries:
        for clause in CLAUSES:
            if clause in asked and clause in entry.cannot:
                raise UserError(
                    f"The optimizer {entry.name} is none that {CLAUSES[clause]}: "
                    f"{entry.cannot[clause]}.\n{WITHOUT[clause]}",
                    key="optimizer.name",
                )
