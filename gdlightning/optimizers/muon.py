"""Torch's Muon, for convolutions too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Muon(torch.optim.Muon):
    """Orthogonalised momentum for hidden matrices; a convolution's kernel is one, [out, the rest].

    That is how the method's author has it (kellerjordan.github.io/posts/muon); torch's class, whose
    step this is, refuses tensors of more than two dimensions.

    Args:
        params: parameters or groups, each of two dimensions or more.
        lr: peak learning rate.
        weight_decay: decoupled weight decay.
        momentum: of the running mean of gradients.
        nesterov: look ahead along the momentum.
        ns_coefficients: of the Newton-Schulz iteration.
        eps: added to the norm that a matrix is divided by.
        ns_steps: iterations.
        adjust_lr_fn: original, or match_rms_adamw for steps of the size of AdamW's.
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
    """A tensor of a kernel's shape as a matrix with a row for each output, in the same memory.

    The order of the columns, which is that of the kernel's memory, makes no difference to a step.
    """
    if tensor.ndim <= 2:
        return tensor
    ordered = tensor if kernel.is_contiguous() else tensor.movedim(1, -1)  # channels last
    return ordered.view(len(tensor), -1)
