"""A point that an optimizer moves over a test function."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.errors import UserError
from gdlightning.landscape.functions import Function
from gdlightning.schedules.scheduler import Scheduler

EPOCHS = 40
"""Epochs of a race, for schedules that count them."""
FAR = 1e6
"""A point so far out has diverged."""


class Runner(nn.Module):
    """A point, as a module with one parameter, and the loss at it.

    Args:
        function: the loss.
        seed: of the noise.
        second_order: keep the gradient's own graph.
    """

    def __init__(self, function: Function, seed: int, second_order: bool) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor(function.start))
        self.function, self.seed, self.second_order = function, seed, second_order
        self.step = self.evaluations = 0

    def place(self) -> Tensor:
        """Where the point is, float64, shape [2]."""
        return self.point.detach().double().clone()

    @property
    def finite(self) -> bool:
        """Whether point and gradient are."""
        own = [self.point] if self.point.grad is None else [self.point, self.point.grad]
        return all(bool(torch.isfinite(t).all()) for t in own)

    def closure(self, optimizer: Optimizer) -> Tensor:
        """The loss with its gradient; within a step the noise is the same at each evaluation."""
        self.evaluations += 1
        with torch.enable_grad():
            optimizer.zero_grad()
            loss = self.function.value(*self.point)
            if self.function.noise:
                generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
                off = torch.randn(2, generator=generator) * self.function.noise
                loss = loss + torch.dot(off, self.point)
            loss.backward(create_graph=self.second_order)
        return loss.detach()


def walk(
    runner: Runner,
    optimizer: Optimizer,
    modes: bool,
    scheduler: Scheduler | None,
    steps: int,
    beaten: int | None,
) -> tuple[Tensor, Tensor]:
    """All points, float64, and the evaluations of the gradient until each.

    There are fewer where they are no longer finite, or can't win.

    Args:
        runner: at the start.
        optimizer: of it.
        modes: whether it evaluates other points than it steps on.
        scheduler: of its learning rate.
        steps: that it makes.
        beaten: the step by which another was there for good.

    Raises:
        UserError: the optimizer fails where all numbers are finite.
    """
    if modes:
        optimizer.train()  # type: ignore[attr-defined]
    function, found, gradients = runner.function, [runner.place()], [0]
    for step in range(steps):
        runner.step = step
        try:
            optimizer.step(lambda: runner.closure(optimizer))  # type: ignore[arg-type,return-value]
        except (ValueError, ArithmeticError, RuntimeError) as error:
            if runner.finite:
                raise UserError(f"it fails at step {step + 1}: {error}") from error
            break  # it has diverged, and checks its numbers
        place = _evaluated(runner, optimizer) if modes else runner.place()
        late = step + 1 == beaten and float(function.distance(place)) > function.near
        if late or not bool((place.abs() < FAR).all()):
            break
        found.append(place)
        gradients.append(runner.evaluations)
        if scheduler is not None:
            scheduler.step()
            wanted = scheduler.schedule.needs_metric
            if wanted and (step + 1) % max(1, steps // EPOCHS) == 0:
                scheduler.observe({wanted: float(function.value(*place))})
    return torch.stack(found), torch.tensor(gradients)


def _evaluated(runner: Runner, optimizer: Optimizer) -> Tensor:
    """The point that an optimizer with two modes would evaluate; its own is put back."""
    kept = runner.point.detach().clone()
    optimizer.eval()  # type: ignore[attr-defined]
    found = runner.place()
    optimizer.train()  # type: ignore[attr-defined]
    with torch.no_grad():
        runner.point.copy_(kept)
    return found
