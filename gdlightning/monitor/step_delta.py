"""Compare weights and gradients before and after an optimizer step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Rows = Tensor | None
"""Indices of the rows in a sparse gradient, or None for all rows."""


@dataclass(frozen=True)
class Moved:
    """Norms of one step, in the order of the weights.

    Attributes:
        gradient: The gradient norms before clipping, shape [weights].
        weight: The weight norms before the step, shape [weights].
        update: The norms of the step, shape [weights].
        slope: The gradient times the step, shape []: the first-order change of the loss.
    """

    gradient: Tensor
    weight: Tensor
    update: Tensor
    slope: Tensor

    @property
    def ratio(self) -> Tensor:
        """Ratio of the norm of the step to the norm of the weights, shape []."""
        found: Tensor = self.update.norm() / (self.weight.norm() + 1e-12)
        return found


class Movement:
    """Copy of the weights and gradients before a step.

    Args:
        weights: The weights of the optimizer. For a sparse gradient, only its rows are copied.
        gradients: If True, copy the gradients, too.
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
        """Return the step, one tensor per weight."""
        now = [_at(w.detach(), r) for w, r in zip(self.weights, self.rows, strict=True)]
        return list(torch._foreach_sub(now, self.before))

    def ratio(self) -> Tensor:
        """Return the ratio of the norm of the step to the norm of all weights, shape []."""
        moved = torch.nn.utils.get_total_norm(self.update())
        whole = torch.nn.utils.get_total_norm([w.detach() for w in self.weights])
        return moved / (whole + 1e-12)

    def moved(self) -> Moved:
        """Return the norms of the step after it was made. This requires the gradients."""
        update = self.update()
        products = torch._foreach_mul(update, self.gradients)
        return Moved(
            gradient=_norms(self.gradients),
            weight=_norms(self.before),
            update=_norms(update),
            slope=torch.stack([p.sum().float() for p in products]).sum(),
        )

    def alike(self, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Compare the copied gradients with the current gradients of the weights.

        Args:
            weights: The same weights as before.

        Returns:
            The scalar product and the two squared norms, each of shape [].
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
    """Return the gradient of a weight or of its rows, or zeros if there is none."""
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
