"""Methods of a LightningModule that take part in a step and must not be displaced silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L

from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice

HOOKS = ("backward", "optimizer_step", "configure_gradient_clipping")


def own_hooks(
    module: L.LightningModule, choice: Choice, *, clips: bool
) -> dict[str, Callable[..., Any]]:
    """Return the methods that a module overrides, to be called as part of a step.

    Args:
        module: module before anything is attached to it.
        choice: optimizer of the run.
        clips: whether the run clips gradients itself.

    Raises:
        UserError: if a method cannot be combined with the optimizer or with clipping.
    """
    own = {name: getattr(module, name) for name in HOOKS if _overrides(module, name)}
    name, cls = choice.entry.name, type(module).__name__
    if "configure_gradient_clipping" in own and clips:
        raise UserError(
            f"Clipping is configured twice: clip and {cls}.configure_gradient_clipping.\n"
            "Remove one of them (--clip none)."
        )
    repeats = {"closure", "loss"} & choice.needs
    if choice.in_backward:
        conflicts = dict.fromkeys(own, "steps in the backward pass")
    else:
        conflicts = {"optimizer_step": "evaluates the loss in its step"} if repeats else {}
        if "second-order" in choice.needs:
            conflicts["backward"] = "differentiates the gradient again"
    for key, reason in conflicts.items():
        if key in own:
            raise UserError(
                f"The optimizer {name} {reason}, which cannot be combined with {cls}.{key}.\n"
                f"Remove {key}, or use another optimizer, such as adamw."
            )
    return own


def _overrides(module: L.LightningModule, name: str) -> bool:
    method = getattr(module, name)
    return getattr(method, "__func__", method) is not getattr(L.LightningModule, name)
