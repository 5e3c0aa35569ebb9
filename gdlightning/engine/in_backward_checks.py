"""Settings that cannot be combined with steps in the backward pass."""

from __future__ import annotations

import lightning.pytorch as L

from gdlightning.clipping import Clip
from gdlightning.errors import UserError


def check_clip(clip: Clip) -> None:
    """Check that gradients are not clipped.

    Raises:
        UserError: if clipping is configured.
    """
    if type(clip).__name__ != "NoClip":
        raise UserError(
            "clip is not supported with optimizer.in_backward, which frees each gradient before "
            "the next one is computed.",
            key=("clip", "optimizer.in_backward"),
            hint="Set clip: none (--clip none), or remove optimizer.in_backward.",
        )


def check_trainer(trainer: L.Trainer) -> None:
    """Check that a Trainer does not need all gradients after the backward pass.

    Raises:
        UserError: if it accumulates or scales gradients, or trains on several devices.
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
                f"optimizer.in_backward makes a step in each backward pass, but {reason}.",
                key="optimizer.in_backward",
                hint="Remove one of the two settings.",
            )
