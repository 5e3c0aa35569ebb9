"""Compare λ·lr at the end of full-batch runs with the reported stability limit.

Prints the table of docs/curvature.md.

    python scripts/curvature/edge.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, NAdam, Optimizer, RMSprop

from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.stability_margin import standing

EXAMPLES, STEPS, EVERY = 200, 3000, 100
OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter]], Optimizer]] = {
    "gradient descent, lr 0.3": lambda p: SGD(p, 0.3),
    "gradient descent, lr 0.6": lambda p: SGD(p, 0.6),
    "heavy ball 0.9, lr 0.7": lambda p: SGD(p, 0.7, momentum=0.9),
    "Nesterov 0.9, lr 0.25": lambda p: SGD(p, 0.25, momentum=0.9, nesterov=True),
    "Adam, lr 0.003": lambda p: Adam(p, 3e-3),
    "NAdam, lr 0.002": lambda p: NAdam(p, 2e-3),
    "RMSprop, lr 0.001": lambda p: RMSprop(p, 1e-3),
    "Adagrad, lr 0.01": lambda p: Adagrad(p, 1e-2),
}


def settled(make: Callable[[Iterable[nn.Parameter]], Optimizer]) -> tuple[list[float], float]:
    """Return λ·lr every hundred steps of the last third, and the final limit."""
    pixels, digits = load_digits(return_X_y=True)
    inputs = torch.tensor(pixels[:EXAMPLES] / 16, dtype=torch.float32)
    inputs = inputs - inputs.mean(0)
    targets = F.one_hot(torch.tensor(digits[:EXAMPLES]), 10).float()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10)
    )

    def loss(batch: object) -> Tensor:
        apart: Tensor = net(inputs) - targets
        return apart.square().sum(1).mean() / 2

    optimizer = make(net.parameters())
    hessian = Hessian(loss, dict(net.named_parameters()), [None], memory=0)
    found, limit = [], 0.0
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        loss(None).backward()
        optimizer.step()
        if 3 * step > 2 * STEPS and step % EVERY == 0:
            stands = standing(hessian, [optimizer], seen=1.0)
            assert stands is not None
            assert stands.limit is not None
            found.append(stands.product.value)
            limit = stands.limit
    return found, limit


def main() -> None:
    print("| optimizer | limit | λ·lr in the last third |\n|---|---|---|")
    for name, make in OPTIMIZERS.items():
        found, limit = settled(make)
        print(f"| {name} | {limit:.2f} | {min(found):.2f} to {max(found):.2f} |", flush=True)


if __name__ == "__main__":
    main()
