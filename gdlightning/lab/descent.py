"""A plain training loop for experiments, with any registered optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.groups import Grouping
from gdlightning.schedules import Schedule

Loss = Callable[[Tensor, Tensor], Tensor]


def descend(
    net: nn.Module,
    loss: Loss,
    x: Tensor,
    y: Tensor,
    optimizer: str | Mapping[str, Any],
    steps: int,
    *,
    batch_size: int | None = None,
    schedule: str | Mapping[str, Any] = "constant",
    max_norm: float | None = None,
    seed: int = 0,
    after: Callable[[int, float], bool | None] = lambda step, loss: None,
) -> list[float]:
    """Train a net, and return the batch losses.

    Training ends early at a non-finite loss, which is the last one returned.

    Args:
        net: net to train in place.
        loss: mean loss as a function of outputs and targets.
        x: inputs, shape [n, ...].
        y: targets, shape [n, ...].
        optimizer: name, or mapping with ``name`` and options.
        steps: maximum number of optimizer steps.
        batch_size: number of examples per step; by default, all of them.
        schedule: name, or mapping with ``name``, ``warmup`` and options.
        max_norm: norm to which gradients are clipped; by default, they are not clipped.
        seed: seed of the order of the examples.
        after: function of the number of completed steps and the batch loss before the last step,
            called after each step; training ends if it returns True.
    """
    stepper = made(net, optimizer, steps)
    given = {"name": schedule} if isinstance(schedule, str) else dict(schedule)
    curve, peaks = Schedule(**given), [group["lr"] for group in stepper.param_groups]
    order, losses = batches(len(x), batch_size, seed), []

    def closure() -> Tensor:
        stepper.zero_grad()
        value = loss(net(x[rows]), y[rows])
        value.backward()
        if max_norm is not None:
            nn.utils.clip_grad_norm_(net.parameters(), max_norm)
        return value.detach()

    for step in range(steps):
        rows = next(order)
        for group, peak in zip(stepper.param_groups, peaks, strict=True):
            group["lr"] = peak * curve.factor(step, steps)
        losses.append(float(stepper.step(closure)))  # type: ignore[arg-type]
        if not math.isfinite(losses[-1]) or after(step + 1, losses[-1]):
            break
    return losses


def made(net: nn.Module, optimizer: str | Mapping[str, Any], steps: int = 1000) -> Optimizer:
    """Return a registered optimizer for the parameters of a net, with the default groups."""
    return build(Choice.of(optimizer), net, Grouping(), Context(steps))[0]


def batches(count: int, batch_size: int | None, seed: int) -> Iterator[Any]:
    """Yield the rows of each batch, reshuffled per epoch; incomplete batches are dropped."""
    if batch_size is None or batch_size >= count:
        while True:
            yield slice(None)
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % batch_size].split(batch_size)
