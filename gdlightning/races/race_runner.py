"""A point that an optimizer moves over a test function."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.errors import UserError
from gdlightning.races.test_functions import Function
from gdlightning.schedules.scheduler import Scheduler

EPOCHS = 40
"""Number of epochs of a race, for schedules that depend on epochs."""
DIVERGED = 1e6
"""Absolute coordinate beyond which a point counts as diverged."""


class Runner(nn.Module):
    """Point as a module with one parameter, and the loss at it.

    Args:
        function: loss function.
        seed: seed of the noise.
        second_order: whether to keep the graph of the gradient.
    """

    def __init__(self, function: Function, seed: int, second_order: bool) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor(function.start))
        self.function, self.seed, self.second_order = function, seed, second_order
        self.step = self.evaluations = 0

    def place(self) -> Tensor:
        """Return the point, float64 [2]."""
        return self.point.detach().double().clone()

    @property
    def finite(self) -> bool:
        """Whether point and gradient are finite."""
        own = [self.point] if self.point.grad is None else [self.point, self.point.grad]
        return all(bool(torch.isfinite(t).all()) for t in own)

    def closure(self, optimizer: Optimizer) -> Tensor:
        """Evaluate the loss and gradient; the noise is fixed within a step."""
        self.evaluations += 1
        with torch.enable_grad():
            optimizer.zero_grad()
            loss = self.function.value(*self.point)
            if self.function.noise:
                generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
                noise = torch.randn(2, generator=generator) * self.function.noise
                loss = loss + torch.dot(noise, self.point)
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
    """Run an optimizer and record its points.

    The run ends early if the point diverges or can no longer win.

    Args:
        runner: point at the start.
        optimizer: optimizer of the point.
        modes: whether the optimizer evaluates other points than it trains.
        scheduler: scheduler of the learning rate.
        steps: number of steps.
        beaten: step at which a better run converged.

    Returns:
        All points, float64 [steps + 1, 2], and the cumulative number of gradient evaluations.

    Raises:
        UserError: if the optimizer fails although all numbers are finite.
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
            break  # the optimizer rejects non-finite numbers after diverging
        place = _evaluated(runner, optimizer) if modes else runner.place()
        late = step + 1 == beaten and float(function.distance(place)) > function.near
        if late or not bool((place.abs() < DIVERGED).all()):
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
    """Return the point that an optimizer with two modes would evaluate, and restore its own."""
    kept = runner.point.detach().clone()
    optimizer.eval()  # type: ignore[attr-defined]
    found = runner.place()
    optimizer.train()  # type: ignore[attr-defined]
    with torch.no_grad():
        runner.point.copy_(kept)
    return found
