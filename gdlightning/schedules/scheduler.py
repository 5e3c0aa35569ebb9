"""A torch ``LambdaLR`` for schedules, including schedules with state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from gdlightning.schedules.schedule import Schedule


class Scheduler(LambdaLR):
    """Scheduler that sets each group's lr to its peak times the schedule's multiplier.

    Call ``step`` after each optimizer step.

    Args:
        optimizer: optimizer whose learning rates are scheduled.
        schedule: schedule that returns the multiplier.
        total: optimizer steps of the whole run.
        steps_per_epoch: optimizer steps per epoch; None if unknown.

    Attributes:
        begin: step at which the schedule begins; not 0 after a restart.
        end: step at which the schedule ends and its last multiplier is kept; None for ``total``.

    Raises:
        UserError: if the warm-up is not shorter than the run, or is given in epochs of unknown
            length.
    """

    def __init__(
        self, optimizer: Optimizer, schedule: Schedule, total: int, steps_per_epoch: int | None = 1
    ) -> None:
        schedule.warmup_steps(total, steps_per_epoch)  # raises if it is too long
        self.schedule = schedule
        self.scale = 1.0
        self.total = total
        self.begin = 0
        self.end: int | None = None
        self._constant = schedule.name == "constant" and not schedule.warmup

        def factor(step: int) -> float:
            steps = (total if self.end is None else self.end) - self.begin
            return self.scale * schedule.factor(step - self.begin, steps, steps_per_epoch)

        self._fresh = dict(vars(schedule.decay)) if schedule.needs_metric else {}
        super().__init__(optimizer, factor)

    def stretch(self) -> None:
        """Let the schedule end with the run, from the current step on."""
        self.end = None
        self.refresh()

    def restart(self, begin: int) -> None:
        """Let the schedule begin again at step ``begin`` and end with the run.

        Raises:
            UserError: if the warm-up is not shorter than the rest of the run.
        """
        self.begin, self.end = begin, None
        if self.schedule.needs_metric:
            vars(self.schedule.decay).update(self._fresh)
        self.refresh()

    def hold(self, end: int) -> None:
        """Let the schedule end at step ``end`` and keep its last multiplier."""
        self.end = end
        self.refresh()

    def rescale(self, scale: float) -> None:
        """Multiply the learning rates of the current and all later steps by ``scale``."""
        self.scale = scale
        self.refresh()

    def observe(self, metrics: Mapping[str, Any]) -> None:
        """Pass the metrics of a validation to the schedule and apply a reduction immediately.

        Raises:
            UserError: if the monitored metric is not logged.
        """
        self.schedule.observe(metrics)
        self.refresh()

    def step(self, epoch: int | None = None) -> None:
        """Advance to the next optimizer step.

        The generic bookkeeping of ``LambdaLR.step`` for chained schedulers costs more time than the
        update itself, so it only runs for the initial step and for an explicit ``epoch``.
        """
        if epoch is not None or self._step_count < 1:
            super().step(epoch)
            return
        self._step_count += 1
        self.last_epoch += 1
        if self._constant:
            return
        factor = self.lr_lambdas[0](self.last_epoch)
        for group, peak in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = peak * factor
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def refresh(self) -> None:
        """Set the learning rates to the current value of the schedule."""
        for group, peak, factor in zip(
            self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True
        ):
            group["lr"] = peak * factor(self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the position and the state of the decay as plain numbers."""
        state = {
            k: v
            for k, v in super().state_dict().items()
            if k not in ("schedule", "_constant", "_fresh")
        }
        if self.schedule.needs_metric:
            state["memory"] = dict(vars(self.schedule.decay))
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position and the state of the decay."""
        state = dict(state_dict)
        vars(self.schedule.decay).update(state.pop("memory", {}))
        state.pop("total", None)  # this run may be longer
        super().load_state_dict(state)
