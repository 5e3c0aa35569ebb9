"""Torch's LambdaLR over a schedule, with the memory of a schedule that has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from gdlightning.schedules.schedule import Schedule


class Scheduler(LambdaLR):
    """Sets each group's lr to its peak times the schedule's factor; step it after the optimizer.

    Args:
        optimizer: whose groups' lr is scheduled.
        schedule: gives the factor.
        total: optimizer steps of the whole training.
        steps_per_epoch: optimizer steps an epoch.
    """

    def __init__(
        self, optimizer: Optimizer, schedule: Schedule, total: int, steps_per_epoch: int = 1
    ) -> None:
        self.schedule = schedule
        self.scale = 1.0
        self._flat = schedule.name == "constant" and not schedule.warmup

        def factor(step: int) -> float:
            return self.scale * schedule.factor(step, total, steps_per_epoch)

        super().__init__(optimizer, factor)

    def rescale(self, scale: float) -> None:
        """Multiply the learning rates of this and all later steps by a factor."""
        self.scale = scale
        self.refresh()

    def observe(self, metrics: Mapping[str, Any]) -> None:
        """Show a validation's metrics to the schedule; a cut holds from the very next step.

        Raises:
            UserError: the metric that it waits for is not among them.
        """
        self.schedule.observe(metrics)
        self.refresh()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next optimizer step.

        What torch's own does besides, for schedulers that are chained, takes longer than this.
        """
        if epoch is not None or self._step_count < 1:  # torch's own first step, and its old way
            super().step(epoch)
            return
        self._step_count += 1
        self.last_epoch += 1
        if self._flat:
            return
        factor = self.lr_lambdas[0](self.last_epoch)
        for group, peak in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = peak * factor
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def refresh(self) -> None:
        """Set the learning rates to what the schedule says now."""
        for group, peak, factor in zip(
            self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True
        ):
            group["lr"] = peak * factor(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Position, and what a plateau's decay remembers; plain numbers alone."""
        state = {k: v for k, v in super().state_dict().items() if k not in ("schedule", "_flat")}
        if self.schedule.needs_metric:
            state["memory"] = dict(vars(self.schedule.decay))
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state."""
        state = dict(state_dict)
        vars(self.schedule.decay).update(state.pop("memory", {}))
        super().load_state_dict(state)
