"""Methods of a LightningModule that are part of a step, and conflicts with the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

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
            f"Clipping is configured twice: clip and {cls}.configure_gradient_clipping.",
            key="clip",
            hint="Remove one of them (--clip none).",
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
                f"The optimizer {name} {reason}, which cannot be combined with {cls}.{key}.",
                key="optimizer.name",
                hint=f"Remove {key}, or use another optimizer, such as adamw.",
            )
    return own


def _overrides(module: L.LightningModule, name: str) -> bool:
    method = getattr(module, name)
    return getattr(method, "__func__", method) is not getattr(L.LightningModule, name)


def creates_layers_later(module: nn.Module) -> bool:
    """Return whether a LightningModule may create its layers in ``setup``."""
    return isinstance(module, L.LightningModule) and _overrides(module, "setup")


def create_layers(module: L.LightningModule) -> None:
    """Create the layers of a module that has none after its constructor, as far as possible.

    ``configure_model`` is called, which Lightning's documentation requires to have no effect when
    it is called again. Lazy layers are initialized with ``example_input_array``.
    """
    if not any(True for _ in module.parameters()) and _overrides(module, "configure_model"):
        module.configure_model()
    example = module.example_input_array
    if example is not None and any(
        isinstance(p, UninitializedParameter) for p in module.parameters()
    ):
        with torch.no_grad():
            module(*example) if isinstance(example, tuple) else module(example)
