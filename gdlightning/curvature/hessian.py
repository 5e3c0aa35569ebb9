"""The Hessian of a mean loss, through Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gdlightning.curvature.double_backward import twice_differentiable
from gdlightning.errors import UserError

MEMORY = 2**30
"""Default memory limit of the gradient graphs, in bytes."""


@dataclass(frozen=True)
class _Graph:
    """Loss and gradients of a batch, with the graph needed to differentiate them again."""

    loss: Tensor
    gradients: tuple[Tensor | None, ...]


class Hessian:
    """Hessian of the mean loss over batches: a symmetric operator on flat vectors [N].

    A product differentiates the gradient again (Pearlmutter 1994). Gradient graphs are kept between
    products within the memory limit, and otherwise rebuilt with the same random state, so all
    products use the same matrix even with dropout. Set the mode of the module first, and do not
    change its weights in between.

    Args:
        loss: function from a batch to its mean loss, shape [], with graph and without side effects.
        parameters: parameters by name; those that require no gradient are ignored.
        batches: arguments of ``loss``, on the device of the parameters.
        sizes: number of examples per batch, as weights of the mean; equal if None.
        seed: seed of the random state; batch k uses ``seed`` + k.
        memory: memory limit of the kept graphs in bytes; 0 keeps none.

    Attributes:
        parameters: parameters that require a gradient, in the order of the vectors.
        on_product: callback after each product.

    Raises:
        UserError: if there are no trainable parameters or no batches, or the loss cannot be
            differentiated twice.
    """

    def __init__(
        self,
        loss: Callable[[Any], Tensor],
        parameters: Mapping[str, Tensor],
        batches: Sequence[Any],
        sizes: Sequence[int] | None = None,
        *,
        seed: int = 0,
        memory: int = MEMORY,
    ) -> None:
        self.parameters = {n: p for n, p in parameters.items() if p.requires_grad}
        if not self.parameters or not batches:
            missing = "batches" if self.parameters else "trainable parameters"
            raise UserError(f"The Hessian needs {missing}, but there are none.")
        self.loss, self.batches, self.seed = loss, batches, seed
        self._params = tuple(self.parameters.values())
        self._counts = [p.numel() for p in self._params]
        self.size, self.device = sum(self._counts), self._params[0].device
        self.dtype = self._params[0].dtype
        given = torch.tensor(sizes or [1] * len(batches), dtype=torch.float64)
        self.weights = given / given.sum()
        self.on_product: Callable[[], object] = lambda: None
        self._kept: dict[int, _Graph] = {}
        self._keep = self._fitting(given, memory)

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return H v, [N]."""
        return self.product(vector)[0]

    def product(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Return H v, [N], and vᵀ H_b v for the Hessian of each batch b, float64 [batches]."""
        whole, along = torch.zeros_like(vector, dtype=self.dtype), []
        for number, weight in enumerate(self.weights.tolist()):
            part = self._part(number, vector)
            whole.add_(part, alpha=weight)
            along.append(float(vector.double() @ part.double()))
        self.on_product()
        return whole, torch.tensor(along, dtype=torch.float64)

    def slope(self) -> tuple[float, Tensor]:
        """Return the mean loss and its gradient, [N]."""
        loss, gradient = 0.0, torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for number, weight in enumerate(self.weights.tolist()):
            graph = self._graph(number)
            loss += weight * float(graph.loss.detach())
            gradient += weight * self._flat(graph.gradients)
        return loss, gradient

    def point(self) -> Tensor:
        """Return the parameters as a flat vector, [N]."""
        return self._flat(self._params)

    def _part(self, number: int, vector: Tensor) -> Tensor:
        """Return the product of one batch's Hessian with a vector."""
        gradients = self._graph(number).gradients
        pieces = vector.to(self.dtype).split(self._counts)
        used = [
            (g, v.view_as(g))
            for g, v in zip(gradients, pieces, strict=True)
            if g is not None and g.requires_grad
        ]
        if not used:  # the loss is linear in its parameters
            return torch.zeros_like(vector, dtype=self.dtype)
        outputs, factors = zip(*used, strict=True)
        with _second_order_errors():
            found = torch.autograd.grad(
                outputs, self._params, factors, number in self._kept, allow_unused=True
            )
        return self._flat(found)

    def _graph(self, number: int) -> _Graph:
        if number in self._kept:
            return self._kept[number]
        graph = self._built(number)
        if number < self._keep:
            self._kept[number] = graph
        return graph

    def _built(self, number: int) -> _Graph:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.enable_grad(), twice_differentiable():
            torch.manual_seed(self.seed + number)
            loss = self.loss(self.batches[number])
            if not loss.requires_grad:
                raise UserError("The loss does not depend on any trainable parameter.")
            with _second_order_errors():
                gradients = torch.autograd.grad(
                    loss, self._params, create_graph=True, allow_unused=True
                )
        for name, gradient in zip(self.parameters, gradients, strict=True):
            if gradient is not None and gradient.is_sparse:
                raise UserError(
                    f"The gradient of {name} is sparse, so torch cannot differentiate it again.\n"
                    "Create its layer with sparse=False."
                )
        return _Graph(loss, gradients)

    def _fitting(self, sizes: Tensor, memory: int) -> int:
        """Return how many graphs fit in memory, given the size of the first one."""
        held: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
            return tensor

        with saved_tensors_hooks(note, lambda tensor: tensor):
            _check(self._built(0).gradients)
        each = sum(held.values()) * sizes / sizes[0]
        return int((each.cumsum(0) <= memory).sum())

    def _flat(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """Concatenate one tensor per parameter, with zeros for unused parameters."""
        pairs = zip(tensors, self._params, strict=True)
        whole = [torch.zeros_like(p) if t is None else t for t, p in pairs]
        return torch.cat([t.detach().reshape(-1).to(self.dtype) for t in whole])


def _check(gradients: Sequence[Tensor | None]) -> None:
    """Raise an error for ``once_differentiable`` functions, which torch would treat as constants.

    Raises:
        UserError: if the graph contains such a function.
    """
    nodes = [g.grad_fn for g in gradients if g is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        if node is None:
            continue
        if node.name().endswith("::Error"):
            raise UserError(
                "The loss has no second derivative: it uses a function that is only "
                "differentiable once."
            )
        fresh = {n for n, _ in node.next_functions} - seen
        seen |= fresh
        nodes += fresh


@contextmanager
def _second_order_errors() -> Iterator[None]:
    """Raise a UserError for operations without a second derivative."""
    try:
        yield
    except RuntimeError as error:
        first = str(error).strip().split("\n")[0]
        if not any(word in first for word in ("derivative", "backward")):
            raise
        raise UserError(f"The loss has no second derivative in torch: {first}") from error
