"""How a module is optimized: optimizer, groups, schedule and clipping, attached to any module."""

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
from gdlightning.engine.capability_checks import asked_of_optimization, asked_of_trainer, refuse
from gdlightning.engine.closure_replay import Replay
from gdlightning.engine.divergence_guard import Guard
from gdlightning.engine.eval_weights import Modes, fitting
from gdlightning.engine.half_precision import check_half
from gdlightning.engine.module_hooks import own_hooks
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
    """A step is not made; nothing has been changed yet."""


class Optimization:
    """Optimizer, parameter groups, schedule and clipping for one training.

    ``attach`` gives them to any LightningModule without editing it, by replacing the module's
    ``configure_optimizers``, ``configure_gradient_clipping``, ``optimizer_step`` and ``backward``
    on the instance, as Lightning's own command line does; Lightning's loop runs as ever.

    Args:
        optimizer: name, mapping with ``name`` and options, or ``Choice``.
        schedule: name, or mapping with ``name``, ``warmup`` and options.
        clip: name, mapping with ``name`` and options, maximum global norm, or None.
        grouping: rules for the parameter groups.
        refusing: refuse what the entry says that it can't do; its proof tries all the same.

    Raises:
        UserError: a name, option or value is not known or can't be meant.
    """

    def __init__(
        self,
        optimizer: str | Mapping[str, Any] | Choice = "adamw",
        schedule: str | Mapping[str, Any] = "constant",
        clip: str | float | Mapping[str, Any] | None = None,
        grouping: Grouping | None = None,
        *,
        refusing: bool = True,
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
        self.refusing = refusing
        self.own_hooks: dict[str, Callable[..., Any]] = {}
        if refusing:
            asked = asked_of_optimization(self.schedule, self.clip, self.grouping)
            refuse(self.choice, asked)
        if self.choice.in_backward:
            in_backward.check_clip(self.clip)

    def attach(self, module: L.LightningModule) -> None:
        """Make ``module`` be optimized so; call it before ``Trainer.fit``."""
        if not module.automatic_optimization:
            raise UserError(
                f"The optimizer {self.choice.entry.name} is not supported for "
                f"{type(module).__name__}, which uses manual optimization "
                "(automatic_optimization = False).\n"
                "Remove it, and create the optimizers in configure_optimizers."
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
        """Build the optimizer once and throw it away, to find bad options before training.

        Raises:
            UserError: the optimizer can't take this module's parameters or these options.
        """
        optimizer, _ = build(self.choice, module, self.grouping, Context())
        self._has_rate(optimizer)

    def check_trainer(self, trainer: L.Trainer) -> None:
        """Refuse a Trainer that this optimizer can't be trained by.

        Raises:
            UserError: it asks for what an entry can't do; or the steps are in the backward pass,
                and it accumulates, scales, or is distributed.
        """
        self._take_over_clipping(trainer)
        if trainer.precision == "16-true":
            check_half(self.choice)
        if self.refusing:
            refuse(self.choice, asked_of_trainer(trainer))
        if self.choice.in_backward:
            in_backward.check_trainer(trainer)

    def _take_over_clipping(self, trainer: L.Trainer) -> None:
        """Clip as the Trainer's ``gradient_clip_val`` says.

        Raises:
            UserError: if clipping is configured here, too.
        """
        value = trainer.gradient_clip_val
        if value is None or "configure_gradient_clipping" in self.own_hooks:
            return
        if self.clips:
            raise UserError(
                f"Clipping is configured twice: clip and Trainer(gradient_clip_val={value}).\n"
                "Remove one of them."
            )
        by_value = trainer.gradient_clip_algorithm == "value"
        option = "max_value" if by_value else "max_norm"
        self.clip = _clip({"name": "value" if by_value else "norm", option: float(value)})
        trainer.gradient_clip_val = None  # it is not applied twice

    # The methods that stand in for the module's own

    def configure_callbacks(self) -> list[L.Callback]:
        """The module's own callbacks and those that this optimizer and schedule need."""
        own = self._own_callbacks()
        callbacks = list(own) if isinstance(own, Sequence) else [own]
        if "closure" in self.choice.needs:
            self.replay = Replay(self._module, self.clip_again, self.step_loss)
            callbacks.append(self.replay)
        if "modes" in self.choice.needs:
            callbacks.append(Modes())
        if self.schedule.needs_metric:
            callbacks.append(Observe())
        return [*callbacks, self.window, ClipMemory(self.clip)]

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer, and its schedule by optimizer step, if it has a learning rate."""
        module, trainer = self._module, self._module.trainer
        self.check_trainer(trainer)
        counts = trainer_steps(trainer)
        context = self.context(trainer, counts)
        optimizer, self.parts = build(self.choice, module, self.grouping, context)
        name_failures(optimizer, self.choice.entry.name)
        if self.replay is not None:
            self.replay.take_over(optimizer)
        if not self._has_rate(optimizer):
            return {"optimizer": optimizer}
        scheduler = Scheduler(optimizer, self.schedule, context.steps, counts.per_epoch)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step", "name": "lr"},
        }

    def configure_gradient_clipping(self, optimizer: Optimizer, *_: Any, **__: Any) -> None:
        """Clip the unscaled gradients; called by Lightning before each step.

        Raises:
            Dropped: the guard lets this step not be made.
        """
        if self.choice.in_backward:  # the step is made, and was judged by its loss
            return
        self.window.scale(optimizer)
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
        """Clip the gradients of a further evaluation; bad ones become 0.

        Within a step that has begun the optimizer must finish, to put the weights back.
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
        """Step, unless the guard drops it."""

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
        """Gradients of a loss, weighted by its share of the examples of an accumulated batch.

        Where they would be steps at once, there are none of a loss that the guard finds bad.
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
                "has no length.\nSet trainer.max_steps or trainer.limit_train_batches.",
                key=key,
            )
        raise UserError(
            f"The {what} needs to know when training ends.\n"
            "Set trainer.max_epochs or trainer.max_steps.",
            key=key,
        )

    def _has_rate(self, optimizer: Optimizer) -> bool:
        """Whether there is a learning rate to schedule.

        Raises:
            UserError: there is none, and a schedule is asked for.
        """
        if all("lr" in g for g in optimizer.param_groups):
            return True
        if self.schedule.name != "constant" or self.schedule.warmup:
            raise UserError(
                f"The optimizer {self.choice.entry.name} has no learning rate for a schedule to "
                "change.\nWrite schedule: constant (--schedule constant), without a warm-up.",
                key=("schedule.name", "schedule.warmup"),
            )
        return False

    @property
    def _module(self) -> L.LightningModule:
        if self.module is None:
            raise RuntimeError("attach(module) comes first.")
        return self.module


def detach(module: L.LightningModule) -> None:
    """Give a module back the methods that an ``Optimization`` has replaced."""
    for name, method in list(vars(module).items()):
        if isinstance(getattr(method, "__self__", None), Optimization):
            delattr(module, name)


class Observe(L.Callback):
    """Shows each validation's metrics to a schedule that waits for a plateau."""

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
    """Keeps in checkpoints what a way of clipping remembers of past steps."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        return self.clip.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with what it remembered."""
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
    """Let any LightningModule be trained with any registered optimizer, without editing it.

    >>> model = optimize(MyModule(), "muon", lr=0.02, schedule="cosine", clip=1.0)  # doctest: +SKIP
    >>> lightning.Trainer().fit(model, data)  # doctest: +SKIP

    Args:
        module: trained with Lightning's automatic optimization.
        optimizer: a name, or a mapping with ``name`` and options.
        schedule: a name, or a mapping with ``name``, ``warmup`` and options.
        clip: a maximal global norm, a name, or a mapping with ``name`` and options.
        groups: rules for the parameter groups.
        options: of the optimizer, e.g. ``lr=3e-4``.

    Returns:
        The same module.

    Raises:
        UserError: a name, option or value is not known or can't be meant.
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
