"""Errors for runs that need what an optimizer does not support, before the first step."""

from __future__ import annotations

import lightning.pytorch as L

from gdlightning.clipping import Clip
from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.entry import CLAUSES
from gdlightning.optimizers.groups import Grouping
from gdlightning.schedules import Schedule

FEATURES = {
    "schedule": "learning-rate schedules",
    "groups": "a learning rate or weight decay per parameter group",
    "clipping": "gradient clipping",
    "accumulation": "gradient accumulation",
    "frozen": "frozen parameters",
    "bf16": "parameters in bfloat16",
    "ddp": "training with several processes",
    "resume": "resuming from a checkpoint",
}
"""Clause → feature of a run that relies on it."""

REMEDIES = {
    "schedule": "Set schedule: constant (--schedule constant), without a warmup.",
    "groups": "Remove groups.layer_decay, and lr and weight_decay from groups.rules.",
    "clipping": "Set clip: none (--clip none).",
    "accumulation": "Remove trainer.accumulate_grad_batches and data.micro_batch_size.",
    "frozen": "Remove groups.freeze.",
    "bf16": "Set trainer.precision to bf16-mixed or 32-true.",
    "ddp": "Set trainer.devices: 1.",
    "resume": "Start a new run, without --resume.",
}
"""Clause → settings of a run that does not rely on it."""


def required_by_optimization(schedule: Schedule, clip: Clip, grouping: Grouping) -> set[str]:
    """Return the clauses that the schedule, clipping and parameter groups rely on."""
    rules = grouping.rules
    required = {
        "schedule": schedule.name != "constant" or bool(schedule.warmup),
        "clipping": type(clip).__name__ != "NoClip",
        "groups": grouping.layer_decay != 1
        or any(r.lr is not None or r.weight_decay is not None for r in rules),
        "frozen": bool(grouping.freeze) or any(r.freeze for r in rules),
    }
    return {clause for clause, holds in required.items() if holds}


def required_by_trainer(trainer: L.Trainer) -> set[str]:
    """Return the clauses that a Trainer relies on."""
    required = {
        "accumulation": trainer.accumulate_grad_batches > 1,
        "bf16": trainer.precision == "bf16-true",
        "ddp": trainer.world_size > 1,
        "resume": getattr(trainer, "ckpt_path", None) is not None,
    }
    return {clause for clause, holds in required.items() if holds}


def check_supported(choice: Choice, required: set[str]) -> None:
    """Check that all optimizers of a choice satisfy the required clauses.

    Args:
        choice: optimizer of the run, with its base, companion, parts and wrappers.
        required: clauses that the run relies on.

    Raises:
        UserError: if an optimizer violates a clause. The message contains the reason.
    """
    for entry in choice.entries:
        for clause in CLAUSES:
            if clause in required and clause in entry.cannot:
                raise UserError(
                    f"The optimizer {entry.name} does not support {FEATURES[clause]}: "
                    f"{entry.cannot[clause]}.",
                    key="optimizer.name",
                    hint=REMEDIES[clause],
                )
