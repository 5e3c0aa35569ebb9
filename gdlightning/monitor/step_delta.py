"""Where a step came from and where it led: weights and gradients on both sides of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Rows = Tensor | None
"""The rows of a weight that its sparse gradient has; None for all."""


@dataclass(frozen=True)
class Moved:
    """Norms of one step, each of shape [weights], in the order of the weights.

    Attributes:
        gradient: before clipping.
        weight: before the step.
        update: of the step.
        slope: the gradient times the step, shape []: the change of the loss to first order.
    """

    gradient: Tensor
    weight: Tensor
    update: Tensor
    slope: Tensor

    @property
    def ratio(self) -> Tensor:
        """The norm of the step over that of the weights, shape []."""
        found: Tensor = self.update.norm() / (self.weight.norm() + 1e-12)
        return found


class Movement:
    """Weights before a step, and the gradients that it answers.

    Args:
        weights: that the optimizer steps on; of those with a sparse gradient only its rows count.
        gradients: keep these too.
    """

    def __init__(self, weights: Sequence[Tensor], gradients: bool = True) -> None:
        self.weights = list(weights)
        self.rows = [_rows(w) for w in self.weights]
        self.before = [
            _at(w.detach(), r, own=True) for w, r in zip(self.weights, self.rows, strict=True)
        ]
        self.gradients: list[Tensor] = []
        if gradients:
            self.gradients = [
                _dense(w, b).clone() for w, b in zip(self.weights, self.before, strict=True)
            ]

    def update(self) -> list[Tensor]:
        """The step, one tensor a weight."""
        now = [_at(w.detach(), r) for w, r in zip(self.weights, self.rows, strict=True)]
        return list(torch._foreach_sub(now, self.before))

    def ratio(self) -> Tensor:
        """The norm of the step over that of the whole weights, shape []."""
        moved = torch.nn.utils.get_total_norm(self.update())
        whole = torch.nn.utils.get_total_norm([w.detach() for w in self.weights])
        return moved / (whole + 1e-12)

    def moved(self) -> Moved:
        """What the step was, once it is made; needs the gradients."""
        update = self.update()
        products = torch._foreach_mul(update, self.gradients)
        return Moved(
            gradient=_norms(self.gradients),
            weight=_norms(self.before),
            update=_norms(update),
            slope=torch.stack([p.sum().float() for p in products]).sum(),
        )

    def alike(self, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """This step's gradients beside those of the same weights now.

        Returns:
            Their scalar product, and the two squared norms, each of shape [].
        """
        now = [_at(_whole(w), r) for w, r in zip(weights, self.rows, strict=True)]
        dot = torch.stack([p.sum().float() for p in torch._foreach_mul(now, self.gradients)]).sum()
        return dot, _norms(self.gradients).square().sum(), _norms(now).square().sum()


def _rows(weight: Tensor) -> Rows:
    grad = weight.grad
    if grad is None or not grad.is_sparse or grad.sparse_dim() != 1:
        return None
    return grad.coalesce().indices()[0]


def _at(tensor: Tensor, rows: Rows, own: bool = False) -> Tensor:
    if rows is not None:
        return tensor.index_select(0, rows)
    return tensor.clone() if own else tensor


def _dense(weight: Tensor, like: Tensor) -> Tensor:
    """The gradient of a weight, or of its rows; zeros where it has none."""
    grad = weight.grad
    if grad is None:
        return torch.zeros_like(like)
    return grad.detach().coalesce().values() if grad.is_sparse else grad.detach()


def _whole(weight: Tensor) -> Tensor:
    if weight.grad is None:
        return torch.zeros_like(weight)
    grad = weight.grad.detach()
    return grad.to_dense() if grad.is_sparse else grad


def _norms(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([n.float() for n in torch._foreach_norm(list(tensors))])
