"""Base class of gradient clipping methods, and the functions they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.errors import UserError


class Clip:
    """Base class for clipping gradients in place.

    Subclasses implement ``clip``. The norm is kept as a tensor, so that clipping never waits for
    the device.

    Attributes:
        norm: global 2-norm of the gradients before clipping, shape []; None before the first call.
        clipped: 1 if clipping changed the gradients, otherwise 0, shape [].
    """

    def __init__(self) -> None:
        self.norm: Tensor | None = None
        self.clipped: Tensor = torch.zeros(())

    def __call__(self, groups: Sequence[dict[str, Any]]) -> None:
        """Clip the gradients of an optimizer's parameter groups.

        Args:
            groups: ``optimizer.param_groups``.
        """
        found = [p.grad for g in groups for p in g["params"]]
        gradients = [g for g in found if g is not None]
        if not gradients:
            return
        if any(g.is_sparse for g in gradients):
            gradients = [gradient(p) for g in groups for p in g["params"] if p.grad is not None]
        with torch.no_grad():  # the norm must not keep the graph of a second-order step alive
            self.norm = total_norm(gradients)
            self.clipped = self.clip(groups, gradients, self.norm)

    @abstractmethod
    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Clip the gradients in place.

        Args:
            groups: parameter groups.
            gradients: gradients of all parameters that have one; the values of sparse ones.
            norm: global 2-norm of ``gradients``, shape [].

        Returns:
            1 if the gradients changed, otherwise 0, shape [].
        """

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the method; empty by default."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the method."""


UNCHANGED = torch.zeros((), dtype=torch.bool)
"""Result of clipping on a CPU when the gradients did not change."""


def gradient(parameter: Tensor) -> Tensor:
    """Return a parameter's gradient as a dense tensor; the values of a sparse gradient are shared.

    Raises:
        ValueError: if the parameter has no gradient.
    """
    grad = parameter.grad
    if grad is None:
        raise ValueError("The parameter has no gradient.")
    if not grad.is_sparse:
        return grad
    if not grad.is_coalesced():
        grad = grad.coalesce()
        parameter.grad = grad
    return grad._values()


def total_norm(gradients: list[Tensor], norm_type: float = 2.0) -> Tensor:
    """Return the global norm of the gradients, shape []; DTensors are reduced over their mesh.

    Args:
        gradients: gradients on any devices.
        norm_type: order of the norm.
    """
    kind, device, dtype = type(gradients[0]), gradients[0].device, gradients[0].dtype
    if kind is Tensor and all(
        type(g) is Tensor and g.dtype is dtype and g.device == device for g in gradients
    ):  # the same as get_total_norm, without grouping by device and dtype
        norms = torch.stack(torch._foreach_norm(gradients, norm_type))
        whole: Tensor = torch.linalg.vector_norm(norms, norm_type)
        return whole
    norm = torch.nn.utils.get_total_norm(gradients, norm_type)
    full = getattr(norm, "full_tensor", None)
    return norm if full is None else full()


def scale(gradients: list[Tensor], norm: Tensor, max_norm: Tensor | float) -> Tensor:
    """Scale gradients in place to a norm of at most ``max_norm``, like ``clip_grad_norm_``.

    Args:
        gradients: gradients on any devices.
        norm: their global norm, shape [].
        max_norm: maximum norm.

    Returns:
        Whether the gradients were scaled down, shape [].
    """
    on_cpu = norm.device.type == "cpu" and isinstance(max_norm, float)
    if on_cpu and float(norm) < (1 - 1e-5) * max_norm:  # the factor is 1; a GPU would synchronize
        return UNCHANGED
    coefficient = torch.clamp(max_norm / (norm + 1e-6), max=1.0)
    if all(g.device == norm.device for g in gradients):
        torch._foreach_mul_(gradients, coefficient)
        return coefficient < 1
    by_device: dict[torch.device, list[Tensor]] = {}
    for g in gradients:
        by_device.setdefault(g.device, []).append(g)
    for device, own in by_device.items():
        torch._foreach_mul_(own, coefficient.to(device))
    return coefficient < 1


def positive(key: str, value: float) -> float:
    """Return the value of the option ``key`` if it is positive.

    Raises:
        UserError: if the value is not positive.
    """
    if not value > 0:
        raise UserError(f"clip.{key} must be positive", key=f"clip.{key}", value=value)
    return value
