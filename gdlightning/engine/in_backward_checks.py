"""What can't be done where each parameter is stepped in the backward pass."""

from __future__ import annotations

import lightning.pytorch as L

from gdlightning.clipping import Clip
from gdlightning.errors import UserError


def check_clip(clip: Clip) -> None:
    """Refuse clipping: no gradient is left when all of them are known.

    Raises:
        UserError: there is clipping.
    """
    if type(clip).__name__ != "NoClip":
        raise UserError(
            "clip can't be used with optimizer.in_backward: each gradient is gone before the next "
            "is known.\nWrite clip: none (--clip none), or leave optimizer.in_backward out.",
            key="clip",
        )


def check_trainer(trainer: L.Trainer) -> None:
    """Refuse a Trainer that needs whole gradients after the backward pass.

    Raises:
        UserError: it accumulates, scales gradients for float16, or trains on several devices.
    """
    batches = trainer.accumulate_grad_batches
    reasons = {
        f"gradients are accumulated over {batches} batches (trainer.accumulate_grad_batches or "
        "data.micro_batch_size)": batches > 1,
        "trainer.precision 16-mixed scales gradients, which are unscaled after the backward "
        "pass": getattr(trainer.precision_plugin, "scaler", None) is not None,
        f"gradients are averaged over {trainer.world_size} processes (trainer.devices) after the "
        "backward pass": trainer.world_size > 1,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(
                f"optimizer.in_backward makes a step in each backward pass, but {reason}.\n"
                "Leave one of the two out.",
                key="optimizer.in_backward",
            )
