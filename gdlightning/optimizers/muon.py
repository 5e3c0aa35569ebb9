"""``torch.optim.Muon`` with support for convolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Muon(torch.optim.Muon):
    """Orthogonalised momentum for matrices; convolution kernels are matrices [outputs, the rest].

    The method's author treats kernels in the same way (kellerjordan.github.io/posts/muon).
    ``torch.optim.Muon``, which computes the step, rejects tensors of more than two dimensions.

    Args:
        params: parameters or groups; all with at least two dimensions.
        lr: peak learning rate.
        weight_decay: decoupled weight decay.
        momentum: coefficient of the running average of gradients.
        nesterov: whether to use Nesterov momentum.
        ns_coefficients: coefficients of the Newton-Schulz iteration.
        eps: value added to the norm in the denominator.
        ns_steps: number of Newton-Schulz iterations.
        adjust_lr_fn: ``original``, or ``match_rms_adamw`` for steps of the same size as AdamW's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        owned = [list(group["params"]) for group in groups]
        matrices = [
            {**group, "params": [_matrix(p.detach(), p) for p in own]}
            for group, own in zip(groups, owned, strict=True)
        ]
        super().__init__(
            matrices,
            lr,
            weight_decay,
            momentum,
            nesterov,
            ns_coefficients,
            eps,
            ns_steps,
            adjust_lr_fn,
        )
        for group, own in zip(self.param_groups, owned, strict=True):
            group["params"] = own

    def _init_group(
        self, group: Any, params_with_grad: list[Tensor], grads: list[Tensor], bufs: list[Tensor]
    ) -> bool:
        found: bool = super()._init_group(group, params_with_grad, grads, bufs)
        for k, kernel in enumerate(params_with_grad):
            for tensors in (params_with_grad, grads, bufs):
                tensors[k] = _matrix(tensors[k], kernel)
        return found


def _matrix(tensor: Tensor, kernel: Tensor) -> Tensor:
    """Return a view of a tensor of a kernel's shape as a matrix with one row per output.

    The columns are in the memory order of the kernel, which does not affect a step.
    """
    if tensor.ndim <= 2:
        return tensor
    ordered = tensor if kernel.is_contiguous() else tensor.movedim(1, -1)  # channels last
    return ordered.view(len(tensor), -1)
