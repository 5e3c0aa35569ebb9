"""Gradient centralisation."""

from __future__ import annotations

from gdlightning.optimizers.wrappers.wrapper import Wrapper

__all__ = ["Centralize"]


class Centralize(Wrapper):
    """Subtracts the mean from each row of a weight's gradient before the step.

    Applies to tensors with at least two dimensions, per output of a linear layer and per filter of
    a convolution, after clipping. The method is from Yong et al. 2020 (arXiv:2004.01461).

    Args:
        base: any optimizer.
    """

    def see(self) -> None:
        """Centralise the gradients in place; in sparse gradients, the stored rows."""
        for parameter in self.weights():
            gradient = parameter.grad
            if gradient is None or gradient.ndim < 2:
                continue
            if gradient.is_sparse:
                parameter.grad = gradient = gradient.coalesce()
                gradient = gradient._values()
            gradient.sub_(gradient.mean(dim=tuple(range(1, gradient.ndim)), keepdim=True))
