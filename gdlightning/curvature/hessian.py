"""The Hessian of a mean loss, as products with vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gdlightning.curvature.twice import twice_differentiable
from gdlightning.errors import UserError

MEMORY = 2**30
"""Bytes that the graphs of gradients may take, if not said otherwise."""


@dataclass(frozen=True)
class _Graph:
    """Loss and gradients of a batch, with what is needed to differentiate them again."""

    loss: Tensor
    gradients: tuple[Tensor | None, ...]


class Hessian:
    """Second derivatives of the mean loss over batches: a symmetric operator on flat vectors [N].

    A product differentiates the gradient once more (Pearlmutter 1994). Graphs of gradients are kept
    between products as far as memory allows, and made again with the same random state beyond
    that; so every product is of the same matrix, dropout or not. Put the module in the mode that
    is meant, and leave its weights alone meanwhile.

    Args:
        loss: mean loss of a batch, shape [], with its graph; it leaves nothing behind.
        parameters: by name; those that need no gradient are left out.
        batches: that the loss takes, on the parameters' device.
        sizes: examples of each batch, its weight in the mean; alike if not given.
        seed: of the random state in which batch k is evaluated, plus k.
        memory: bytes that kept graphs may take; 0 keeps none.

    Attributes:
        parameters: those that count, in the order of the vectors.
        on_product: called after each product.

    Raises:
        UserError: there is nothing to differentiate by, or nothing to evaluate.
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
            lacking = "batches" if self.parameters else "trainable parameters"
            raise UserError(f"There is no curvature without {lacking}.")
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
        """H v, [N]."""
        return self.product(vector)[0]

    def product(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """H v, [N], and vᵀ H_b v for the Hessian of each batch b, float64 [batches]."""
        whole, along = torch.zeros_like(vector, dtype=self.dtype), []
        for number, weight in enumerate(self.weights.tolist()):
            part = self._part(number, vector)
            whole.add_(part, alpha=weight)
            along.append(float(vector.double() @ part.double()))
        self.on_product()
        return whole, torch.tensor(along, dtype=torch.float64)

    def slope(self) -> tuple[float, Tensor]:
        """The mean loss and its gradient, [N]."""
        loss, gradient = 0.0, torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for number, weight in enumerate(self.weights.tolist()):
            graph = self._graph(number)
            loss += weight * float(graph.loss.detach())
            gradient += weight * self._flat(graph.gradients)
        return loss, gradient

    def point(self) -> Tensor:
        """The parameters themselves as a vector, [N]."""
        return self._flat(self._params)

    def _part(self, number: int, vector: Tensor) -> Tensor:
        """The product of a batch's own Hessian with a vector."""
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
        with _telling():
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
            with _telling():
                gradients = torch.autograd.grad(
                    loss, self._params, create_graph=True, allow_unused=True
                )
        for name, gradient in zip(self.parameters, gradients, strict=True):
            if gradient is not None and gradient.is_sparse:
                raise UserError(
                    f"The gradient of {name} is sparse, which torch can't differentiate again.\n"
                    "Make its layer with sparse=False."
                )
        return _Graph(loss, gradients)

    def _fitting(self, sizes: Tensor, memory: int) -> int:
        """How many graphs may be kept, by what the first one holds and the batches' sizes."""
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
        """One vector of a tensor a parameter, with zeros for those that are not used."""
        pairs = zip(tensors, self._params, strict=True)
        whole = [torch.zeros_like(p) if t is None else t for t, p in pairs]
        return torch.cat([t.detach().reshape(-1).to(self.dtype) for t in whole])


def _check(gradients: Sequence[Tensor | None]) -> None:
    """Refuse functions that are marked as differentiable once; torch would take them for constants.

    Raises:
        UserError: there is one.
    """
    nodes = [g.grad_fn for g in gradients if g is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        if node is None:
            continue
        if node.name().endswith("::Error"):
            raise UserError("This loss has no second derivative: a function in it forbids it.")
        fresh = {n for n, _ in node.next_functions} - seen
        seen |= fresh
        nodes += fresh


@contextmanager
def _telling() -> Iterator[None]:
    """Say in words that an operation has no second derivative."""
    try:
        yield
    except RuntimeError as error:
        first = str(error).strip().split("\n")[0]
        if not any(word in first for word in ("derivative", "backward")):
            raise
        raise UserError(f"This loss has no second derivative in torch: {first}") from error
