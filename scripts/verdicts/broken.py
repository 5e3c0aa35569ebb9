"""Nets with an injected fault, used in configs as ``broken.Sigmoids`` and so on."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stack(nn.Module):
    """Layers of one width over the numeric columns of a table."""

    act: type[nn.Module] = nn.ReLU
    depth = 4

    def __init__(
        self, numeric: int, cardinalities: list[int], outputs: int, width: int = 32
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = numeric
        for _ in range(self.depth):
            layers += [nn.Linear(size, width), self.act()]
            size = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(size, outputs)
        with torch.no_grad():
            self.spoil()

    def spoil(self) -> None:
        """Inject the fault."""

    def linear(self) -> list[nn.Linear]:
        """All layers with weights."""
        return [m for m in self.modules() if isinstance(m, nn.Linear)]

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        found: Tensor = self.head(self.layers(numeric))
        return found


class Sigmoids(Stack):
    """Gradients vanish on their way through ten sigmoids."""

    act, depth = nn.Sigmoid, 10


class Large(Stack):
    """Every layer makes its input several times larger."""

    depth = 6

    def spoil(self) -> None:
        """Eight times the usual weights."""
        for layer in self.linear():
            layer.weight.mul_(8)


class Dead(Stack):
    """One layer of inactive units."""

    def spoil(self) -> None:
        """A bias far below what the weights can lift."""
        bias = self.linear()[1].bias
        if bias is not None:
            bias.fill_(-20.0)


class Flat(Stack):
    """A linear net of two layers that starts near the saddle point at 0."""

    act, depth = nn.Identity, 1

    def spoil(self) -> None:
        """Initialize weights near 0, and the output bias with the class priors."""
        for layer in self.linear():
            layer.weight.mul_(0.002)
            layer.bias.zero_()
        self.head.bias.copy_(torch.tensor([0.63, 0.37]).log())
