"""Optimizer, parameter groups, schedule and clipping, attached to any LightningModule."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from gdlightning.clipping import Clip
from gdlightning.clipping import find as find_clip
from gdlightning.clipping.none import NoClip
from gdlightning.curvature.double_backward import differentiable, differentiable_backward
from gdlightning.engine import in_backward_checks as in_backward
from gdlightning.engine.accumulation import AccumulationWindow
from gdlightning.engine.capability_checks import (
    check_supported,
    required_by_optimization,
    required_by_trainer,
)
from gdlightning.engine.closure_replay import Replay
from gdlightning.engine.divergence_guard import Guard
from gdlightning.engine.eval_weights import Modes, fitting
from gdlightning.engine.half_precision import check_half
from gdlightning.engine.module_hooks import creates_layers_later, own_hooks
from gdlightning.engine.step_counts import StepCounts, trainer_steps
from gdlightning.engine.step_errors import name_failures
from gdlightning.engine.step_loss import StepLoss
from gdlightning.errors import UserError
from gdlightning.optimizers.build import Context, Part, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping
from gdlightning.schedules import Schedule
from gdlightning.schedules.scheduler import Scheduler


class Dropped(Exception):
    """Signal that a step is dropped before anything has been changed."""


class Optimization:
    """Optimizer, parameter groups, schedule and clipping of a run.

    ``attach`` adds them to any LightningModule without editing it. It replaces the methods
    ``configure_optimizers``, ``configure_gradient_clipping``, ``optimizer_step`` and ``backward``
    of the instance, as Lightning's command line does. Lightning's loop is not changed.

    Args:
        optimizer: name, mapping with ``name`` and options, or ``Choice``.
        schedule: name, or mapping with ``name``, ``warmup`` and options.
        clip: name, mapping with ``name`` and options, maximum global norm, or None.
        grouping: rules for the parameter groups.
        check_capabilities: whether to raise an error if the optimizer's entry does not support a
            feature of the run. The contract tests disable this to test the entry.

    Raises:
        UserError: if a name, option or value is not valid.
    """

    def __init__(
        self,
        optimizer: str | Mapping[str, Any] | Choice = "adamw",
        schedule: str | Mapping[str, Any] = "constant",
        clip: str | float | Mapping[str, Any] | None = None,
        grouping: Grouping | None = None,
        *,
        check_capabilities: bool = True,
    ) -> None:
        self.choice = Choice.of(optimizer)
        self._sees_loss = bool({"loss", "closure"} & self.choice.needs)
        self._second_order = "second-order" in self.choice.needs
        self.schedule = Schedule(**_named(schedule))
        self.clip = _clip(clip)
        self.grouping = grouping or Grouping()
        self.parts: list[Part] = []
        self.module: L.LightningModule | None = None
        self.replay: Replay | None = None
        self.window = AccumulationWindow()
        self.step_loss = StepLoss(self.window)
        self.guard: Guard | None = None
        self.check_capabilities = check_capabilities
        self.own_hooks: dict[str, Callable[..., Any]] = {}
        if check_capabilities:
            required = required_by_optimization(self.schedule, self.clip, self.grouping)
            check_supported(self.choice, required)
        if self.choice.in_backward:
            in_backward.check_clip(self.clip)

    def attach(self, module: L.LightningModule) -> None:
        """Replace the methods of ``module``; call this before ``Trainer.fit``.

        Raises:
            UserError: if the module uses manual optimization, or overrides a method that cannot be
                combined with the optimizer.
        """
        if not module.automatic_optimization:
            raise UserError(
                f"The optimizer {self.choice.entry.name} is not supported for "
                f"{type(module).__name__}, which uses manual optimization "
                "(automatic_optimization = False).",
                key="optimizer.name",
                hint="Remove it, and create the optimizers in configure_optimizers.",
            )
        detach(module)
        self.module = module
        self._own_callbacks = module.configure_callbacks
        self.own_hooks = own_hooks(module, self.choice, clips=self.clips)
        replaced: dict[str, Callable[..., Any]] = {
            "configure_optimizers": self.configure_optimizers,
            "configure_gradient_clipping": self.configure_gradient_clipping,
            "optimizer_step": self.optimizer_step,
            "backward": self.backward,
            "configure_callbacks": self.configure_callbacks,
        }
        if self._second_order:
            replaced["training_step"] = differentiable(module.training_step)
        for name, method in replaced.items():
            setattr(module, name, method)

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped, as opposed to only measured."""
        return not isinstance(self.clip, NoClip)

    def describe(self, trainer: L.Trainer) -> dict[str, str]:
        """Return the names of optimizer and schedule, for the header of the measurements."""
        return {"optimizer": self.choice.entry.name, "schedule": self.schedule.name}

    def check(self, module: torch.nn.Module) -> None:
        """Build the optimizer once and discard it, to find invalid options before training.

        Raises:
            UserError: if the optimizer does not support the module's parameters or the options.
        """
        if not any(True for _ in module.parameters()) and creates_layers_later(module):
            return
        optimizer, _ = build(self.choice, module, self.grouping, Context())
        self._has_learning_rate(optimizer)

    def check_trainer(self, trainer: L.Trainer) -> None:
        """Check that the optimizer supports the settings of a Trainer.

        Raises:
            UserError: if the optimizer's entry does not support a setting, or if the optimizer
                steps in the backward pass and the Trainer needs all gradients after it.
        """
        self._take_over_clipping(trainer)
        if trainer.precision == "16-true":
            check_half(self.choice)
        if self.check_capabilities:
            check_supported(self.choice, required_by_trainer(trainer))
        if self.choice.in_backward:
            in_backward.check_trainer(trainer)

    def _take_over_clipping(self, trainer: L.Trainer) -> None:
        """Apply the Trainer's ``gradient_clip_val`` as ``clip``.

        Raises:
            UserError: if clipping is configured here, too.
        """
        value = trainer.gradient_clip_val
        if value is None or "configure_gradient_clipping" in self.own_hooks:
            return
        if self.clips:
            raise UserError(
                f"Clipping is configured twice: clip and Trainer(gradient_clip_val={value}).",
                key=("clip", "trainer.gradient_clip_val"),
                hint="Remove one of them.",
            )
        by_value = trainer.gradient_clip_algorithm == "value"
        option = "max_value" if by_value else "max_norm"
        self.clip = _clip({"name": "value" if by_value else "norm", option: float(value)})
        trainer.gradient_clip_val = None  # or Lightning clips again

    # Methods that replace those of the module

    def configure_callbacks(self) -> list[L.Callback]:
        """Return the module's callbacks and those that the optimizer and schedule need."""
        own = self._own_callbacks()
        callbacks = list(own) if isinstance(own, Sequence) else [own]
        if "closure" in self.choice.needs:
            self.replay = Replay(self._module, self.clip_again, self.step_loss)
            callbacks.append(self.replay)
        if "modes" in self.choice.needs:
            callbacks.append(Modes())
        if self.schedule.needs_metric:
            callbacks.append(PlateauMetrics())
        return [*callbacks, self.window, ClipMemory(self.clip)]

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer, and a scheduler per optimizer step if it has a learning rate."""
        module, trainer = self._module, self._module.trainer
        self.check_trainer(trainer)
        counts = trainer_steps(trainer)
        context = self.context(trainer, counts)
        optimizer, self.parts = build(self.choice, module, self.grouping, context)
        name_failures(optimizer, self.choice.entry.name)
        if self.replay is not None:
            self.replay.take_over(optimizer)
        if not self._has_learning_rate(optimizer):
            return {"optimizer": optimizer}
        scheduler = Scheduler(optimizer, self.schedule, context.steps, counts.per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "lr"},
        }

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        """Clip the unscaled gradients; called by Lightning before each step.

        Raises:
            Dropped: if the guard drops the step.
        """
        if self.choice.in_backward:  # the guard has checked the loss, and the step is made
            return
        self.window.scale(optimizer, self._module.trainer)
        if own := self.own_hooks.get("configure_gradient_clipping"):
            trainer = self._module.trainer
            own(optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm)
        self.clip(optimizer.param_groups)
        if self._is_bad(self.clip.norm, optimizer):
            raise Dropped

    def _is_bad(self, norm: Tensor | None, optimizer: Optimizer | None = None) -> bool:
        guard = self.guard
        return guard is not None and guard.is_bad(self._module.trainer, norm, optimizer)

    def clip_again(self, optimizer: Optimizer) -> None:
        """Clip the gradients of a further evaluation, and set non-finite gradients to 0.

        The step cannot be dropped at this point: the optimizer must restore the weights first.
        """
        self.clip(optimizer.param_groups)
        norm = self.clip.norm
        if self.guard is not None and norm is not None and not math.isfinite(float(norm)):
            for parameter in (p for g in optimizer.param_groups for p in g["params"]):
                if parameter.grad is not None:
                    parameter.grad.zero_()

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Make the optimizer step, unless it is dropped."""

        def closure() -> Any:
            if optimizer_closure is not None:
                optimizer_closure()
            if self.step_loss.total is None:  # the module skipped all batches of this step
                raise Dropped
            return self.step_loss.take(self._module.trainer)

        with contextlib.suppress(Dropped):
            if own := self.own_hooks.get("optimizer_step"):
                own(epoch, batch_idx, optimizer, optimizer_closure)
            else:
                optimizer.step(closure=closure if self._sees_loss else optimizer_closure)
        self.step_loss.total = None

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradients of a loss, weighted by its share of the accumulated examples.

        With steps in the backward pass, nothing is computed if the guard drops the step.
        """
        if self.choice.in_backward and self._is_bad(None):
            return
        if (share := self.window.share) != 1.0:
            loss = loss * share
        if not vars(self._module).get("silent"):  # not when a step is repeated
            self.window.add()
        if self._sees_loss:
            self.step_loss.add(loss, self._module.trainer)
        if self._second_order:
            differentiable_backward(loss, *args, **kwargs)
        elif own := self.own_hooks.get("backward"):
            own(loss, *args, **kwargs)
        else:
            loss.backward(*args, **kwargs)

    def context(self, trainer: L.Trainer, counts: StepCounts) -> Context:
        """Return facts about the run that the optimizer may need.

        Args:
            trainer: the Trainer that is fitting.
            counts: its optimizer steps.

        Raises:
            UserError: if the schedule or optimizer needs the number of steps, which is unknown.
        """
        if counts.total is None:
            self._check_endless(trainer)
        per_epoch = counts.per_epoch or 1
        rows = getattr(getattr(trainer, "datamodule", None), "rows", {})
        return Context(
            steps=1 if counts.total is None else counts.total,
            steps_per_epoch=per_epoch,
            examples=len(rows["train"]) if rows else per_epoch,
            scaler=getattr(trainer.precision_plugin, "scaler", None) is not None,
        )

    def _check_endless(self, trainer: L.Trainer) -> None:
        """Check that neither schedule nor optimizer needs the number of steps of the run.

        Raises:
            UserError: if one of them does.
        """
        if "steps" in self.choice.needs:
            key, what = "optimizer.name", f"optimizer {self.choice.entry.name}"
        elif not self.schedule.endless:
            key, what = "schedule.name", f"schedule {self.schedule.name}"
        else:
            return
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            raise UserError(
                f"The {what} needs the number of optimizer steps of the run, but the training data "
                "has no length.",
                key=key,
                hint="Set trainer.max_steps or trainer.limit_train_batches.",
            )
        raise UserError(
            f"The {what} needs the number of optimizer steps of the run, which is unknown.",
            key=key,
            hint="Set trainer.max_epochs or trainer.max_steps.",
        )

    def _has_learning_rate(self, optimizer: Optimizer) -> bool:
        """Return whether the optimizer has a learning rate to schedule.

        Raises:
            UserError: if it has none, and a schedule is configured.
        """
        if all("lr" in g for g in optimizer.param_groups):
            return True
        if self.schedule.name != "constant" or self.schedule.warmup:
            raise UserError(
                f"The optimizer {self.choice.entry.name} has no learning rate to schedule.",
                key=("schedule.name", "schedule.warmup"),
                hint="Set schedule: constant (--schedule constant), without a warmup.",
            )
        return False

    @property
    def _module(self) -> L.LightningModule:
        if self.module is None:
            raise RuntimeError("Call attach(module) first.")
        return self.module


def detach(module: L.LightningModule) -> None:
    """Restore the methods of a module that an ``Optimization`` has replaced."""
    for name, method in list(vars(module).items()):
        if isinstance(getattr(method, "__self__", None), Optimization):
            delattr(module, name)


class PlateauMetrics(L.Callback):
    """Passes the metrics of each validation to a schedule that reacts to plateaus."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check that there will be validations.

        Raises:
            UserError: if there will be none, so that the learning rate would never change.
        """
        every, epochs = trainer.check_val_every_n_epoch, trainer.max_epochs
        late = every is not None and epochs is not None and 0 <= epochs < every
        if trainer.enable_validation and not late:
            return
        why = (
            f"check_val_every_n_epoch is {every} and max_epochs is {epochs}"
            if late
            else "it has no validation data or no validation_step, or limit_val_batches is 0"
        )
        raise UserError(
            f"The schedule reduce_on_plateau observes validations, but this run has none: {why}.\n"
            "Add validation data, or choose another schedule, such as cosine.",
            key="schedule.name",
        )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Pass the metrics on, except those of the sanity check."""
        if fitting(trainer):
            for config in trainer.lr_scheduler_configs:
                if isinstance(config.scheduler, Scheduler):
                    config.scheduler.observe(trainer.callback_metrics)


class ClipMemory(L.Callback):
    """Stores the state of adaptive clipping in checkpoints.

    Args:
        clip: clipping of the run.
    """

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the clipping."""
        return self.clip.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the clipping."""
        self.clip.load_state_dict(state_dict)


def optimize(
    module: L.LightningModule,
    optimizer: str | Mapping[str, Any] = "adamw",
    *,
    schedule: str | Mapping[str, Any] = "constant",
    clip: str | float | Mapping[str, Any] | None = None,
    groups: Grouping | None = None,
    **options: Any,
) -> L.LightningModule:
    """Train a LightningModule with any registered optimizer, without editing the module.

    Args:
        module: module with automatic optimization.
        optimizer: name, or mapping with ``name`` and options.
        schedule: name, or mapping with ``name``, ``warmup`` and options.
        clip: maximum global norm, name, or mapping with ``name`` and options.
        groups: rules for the parameter groups.
        options: options of the optimizer, such as ``lr=3e-4``.

    Returns:
        The same module.

    Raises:
        UserError: if a name, option or value is not valid.

    Example:
        >>> model = optimize(
        ...     MyModule(), "muon", lr=0.02, schedule="cosine", clip=1.0
        ... )  # doctest: +SKIP
        >>> lightning.Trainer().fit(model, data)  # doctest: +SKIP
    """
    named = _named(optimizer) | options
    optimization = Optimization(named, schedule, clip, groups)
    optimization.check(module)
    optimization.attach(module)
    return module


def _named(given: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"name": given} if isinstance(given, str) else dict(given)


def _clip(given: str | float | Mapping[str, Any] | None) -> Clip:
    if given is None:
        given = "none"
    if isinstance(given, int | float):
        given = {"name": "norm", "max_norm": float(given)}
    settings = _named(given)
    return find_clip(settings.pop("name"))(**settings)
