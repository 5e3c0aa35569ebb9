"""Gradient centralisation."""

from __future__ import annotations

from gdlightning.optimizers.wrappers.wrapper import Wrapper

__all__ = ["Centralize"]


class Centralize(Wrapper):
    """Takes the mean off each row of a weight's gradient, before the step.

    Of tensors of two or more dimensions, over all dimensions but the first: per output of a linear
    layer, per filter of a convolution. After clipping. Yong et al. 2020 (arXiv:2004.01461).

    Args:
        base: any optimizer.
    """

    def see(self) -> None:
        """Centralise the gradients, in place; of sparse ones the rows that they hold."""
        for parameter in self.weights():
            gradient = parameter.grad
            if gradient is None or gradient.ndim < 2:
                continue
            if gradient.is_sparse:
                parameter.grad = gradient = gradient.coalesce()
                gradient = gradient._values()
            gradient.sub_(gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True))
