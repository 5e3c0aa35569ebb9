"""What is done to gradients before a step, and what it leaves for the monitors to read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gdlightning.errors import UserError


class Clip:
    """Clips gradients in place.

    A subclass writes ``clip``. Nothing here waits for the device: the norm stays a tensor.

    Attributes:
        norm: global 2-norm of the gradient before clipping, shape []; None before the first call.
        clipped: 1 where clipping changed the gradient, else 0, shape [].
    """

    def __init__(self) -> None:
        self.norm: Tensor | None = None
        self.clipped: Tensor = torch.zeros(())

    def __call__(self, groups: Sequence[dict[str, Any]]) -> None:
        """Clip the gradients of an optimizer's parameter groups."""
        found = [p.grad for g in groups for p in g["params"]]
        gradients = [g for g in found if g is not None]
        if not gradients:
            return
        if any(g.is_sparse for g in gradients):
            gradients = [gradient(p) for g in groups for p in g["params"] if p.grad is not None]
        with torch.no_grad():  # the norm must not hold the graph of a second-order step
            self.norm = total_norm(gradients)
            self.clipped = self.clip(groups, gradients, self.norm)

    @abstractmethod
    def clip(
        self, groups: Sequence[dict[str, Any]], gradients: list[Tensor], norm: Tensor
    ) -> Tensor:
        """Change the gradients in place; returns 1 or 0, shape []: whether it did."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers; nothing by default."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what was remembered."""


NOT = torch.zeros((), dtype=torch.bool)
"""Of a gradient on a CPU that was not clipped."""


def gradient(parameter: Tensor) -> Tensor:
    """A parameter's gradient as a dense tensor that shares its memory: a sparse one's values."""
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
    """The global norm, shape []; a DTensor's is gathered over its mesh."""
    kind, device, dtype = type(gradients[0]), gradients[0].device, gradients[0].dtype
    if kind is Tensor and all(
        type(g) is Tensor and g.dtype is dtype and g.device == device for g in gradients
    ):  # what get_total_norm does, without sorting by device and type
        norms = torch.stack(torch._foreach_norm(gradients, norm_type))
        whole: Tensor = torch.linalg.vector_norm(norms, norm_type)
        return whole
    norm = torch.nn.utils.get_total_norm(gradients, norm_type)
    full = getattr(norm, "full_tensor", None)
    return norm if full is None else full()


def scale(gradients: list[Tensor], norm: Tensor, max_norm: Tensor | float) -> Tensor:
    """Scale to a norm of at most ``max_norm``, as ``clip_grad_norm_`` does, bit by bit."""
    on_cpu = norm.device.type == "cpu" and isinstance(max_norm, float)
    if on_cpu and float(norm) < (1 - 1e-5) * max_norm:  # then the factor is 1; on a GPU one waits
        return NOT
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
    """The value, if it is above 0.

    Raises:
        UserError: it is not.
    """
    if not value > 0:
        raise UserError(f"clip.{key} is {value}; write a number above 0.")
    return value
