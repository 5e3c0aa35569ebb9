"""The loop over an epoch's batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.trainer.states import RunningStage, TrainerFn
from torch import Tensor

from gdlightning import internals
from gdlightning.data.resumable import ResumableLoader
from gdlightning.engine.optimization import Dropped
from gdlightning.engine.step_plan import StepPlan


class EpochLoop(internals.TrainingEpochLoop):  # type: ignore[misc]
    """Lightning's loop over batches, with a plan of the hooks that a step needs.

    Lightning calls every callback for every hook, enters a profiler around each, and reads all
    logged values at every batch. Here, a ``StepPlan`` is computed once per epoch, and logged values
    are read when they are due. The order of calls, counters, logs and checkpoints are those of
    Lightning's loop. If a run needs features outside the plan, Lightning's methods run.
    """

    _plan: StepPlan | None = None
    between: Callable[[], None] | None = None
    """Called between two batches, when the last one is complete and logged."""

    @classmethod
    def install(cls, trainer: L.Trainer) -> None:
        """Replace the trainer's loop, unless private names are disabled."""
        if not internals.private_names():
            return
        former = trainer.fit_loop
        steps = former.epoch_loop.min_steps, former.epoch_loop.max_steps
        trainer.fit_loop = FitLoop(trainer, former.min_epochs, former.max_epochs)
        trainer.fit_loop.epoch_loop = cls(trainer, *steps)
        trainer.fit_loop.epoch_loop.val_loop = ValidationLoop(
            trainer, TrainerFn.FITTING, RunningStage.VALIDATING, verbose=False, inference_mode=False
        )

    @property
    def global_step(self) -> int:
        """Number of optimizer steps; read by nearly every hook."""
        if self._plan is None:
            return int(super().global_step)
        return int(self.automatic_optimization.optim_progress.optimizer.step.total.completed)

    def on_run_start(self, data_fetcher: Any) -> None:
        """Compute the plan of a step."""
        super().on_run_start(data_fetcher)
        if isinstance(data_fetcher.combined_loader, ResumableLoader):
            data_fetcher.combined_loader.fetcher = data_fetcher
        self._plan = StepPlan.of(self.trainer)

    def advance(self, data_fetcher: Any) -> None:
        """Train on a batch.

        Raises:
            StopIteration: The epoch has no more batches.
        """
        trainer, plan = self.trainer, self._plan
        if self.between is not None and not self._validates_first(data_fetcher):
            self.between()
        if plan is not None and plan.callbacks != trainer.callbacks:  # until the next epoch
            plan = self._plan = None
        if plan is None or self.restarting:
            super().advance(data_fetcher)
            return
        if self.val_loop.restarting:
            self.val_loop.restarting = False
        if plan.batches is None:
            batch, _, _ = next(data_fetcher)
        else:
            batch = next(plan.batches)
            data_fetcher.fetched += 1
            data_fetcher.done = data_fetcher.fetched >= data_fetcher.length
        batch_idx = self.batch_idx + 1
        self.batch_progress.is_last_batch = data_fetcher.done
        if plan.moves:
            batch = self._moved(batch)
        self.batch_progress.increment_ready()
        internals.begin_batch(trainer, batch)
        self._call(plan, "on_train_batch_start", batch, batch_idx)
        self.batch_progress.increment_started()
        accumulating = plan.accumulate > 1 and internals.accumulates(self.trainer)
        output = self._step(plan, batch, batch_idx, accumulating)
        self.batch_progress.increment_processed()
        if not accumulating:
            self._schedule(plan)
        if internals.epoch_is_over(self.trainer):
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._call(plan, "on_train_batch_end", output, batch, batch_idx)
        self._read_logs(plan)

    def _validates_first(self, data_fetcher: Any) -> bool:
        """Return whether Lightning runs a pending validation before the next batch."""
        return bool(
            self.restarting
            and internals.validates_now(self.trainer)
            and (self.val_loop.restarted_mid_evaluation or self.restarted_on_last)
        )

    def on_advance_end(self, data_fetcher: Any) -> None:
        """Run the validation, if it is due."""
        plan, trainer = self._plan, self.trainer
        nothing = (
            plan is not None
            and plan.validates_last
            and not (self.batch_progress.is_last_batch or self._skip_next_val)
            and not (trainer.should_stop or trainer.received_sigterm)
        )
        if plan is None or not nothing:
            super().on_advance_end(data_fetcher)
        elif plan.accumulate == 1 or not internals.accumulates(self.trainer):
            self._batches_that_stepped += 1

    def _moved(self, batch: Any) -> Any:
        trainer = self.trainer
        batch = trainer.precision_plugin.convert_input(batch)
        batch = internals.before_transfer(trainer, batch)
        return trainer.strategy.batch_to_device(batch, dataloader_idx=0)

    def _step(
        self, plan: StepPlan, batch: Any, batch_idx: int, accumulating: bool
    ) -> dict[str, Any]:
        """Run forward, backward and, after the last accumulated batch, the optimizer step."""
        module, optimizer = plan.module, plan.optimizer
        progress = self.automatic_optimization.optim_progress.optimizer
        arguments = (batch, batch_idx) if plan.takes_index else (batch,)
        internals.set_hook(module, "training_step")
        with plan.context():
            output: Any = module.training_step(*arguments)
        internals.set_hook(module, None)
        loss: Tensor | None
        if isinstance(output, Tensor):
            loss = output if plan.accumulate == 1 else output / plan.accumulate
            outputs = {"loss": loss.detach()}
        else:
            result = ClosureResult.from_training_step_output(output, plan.accumulate)
            loss = result.closure_loss
            outputs = {} if loss is None else result.asdict()
        if batch_idx % plan.accumulate == 0:
            progress.zero_grad.increment_ready()
            self._call(plan, "on_before_zero_grad", optimizer)
            progress.zero_grad.increment_started()
            plan.zero_grad()
            progress.zero_grad.increment_completed()
        if loss is not None:
            self._call(plan, "on_before_backward", loss)
            module.backward(loss)
            self._call(plan, "on_after_backward")
        if accumulating:
            return outputs
        progress.step.increment_ready()
        self._call(plan, "on_before_optimizer_step", optimizer)
        try:
            module.configure_gradient_clipping(optimizer)
            optimizer.step()
        except Dropped:
            pass
        progress.step.increment_completed()
        return outputs

    def _call(self, plan: StepPlan, name: str, *arguments: Any) -> None:
        """Call all implementations of a hook, and set its name for ``self.log``."""
        hooks = plan.hooks[name]
        if hooks:
            trainer, module = self.trainer, plan.module
            internals.set_hook(module, name)
            for hook in hooks:
                hook(trainer, module, *arguments)
            internals.set_hook(module, None)

    def _schedule(self, plan: StepPlan) -> None:
        for config in plan.schedulers:
            if (self.batch_idx + 1) % config.frequency == 0:
                self.scheduler_progress.increment_ready()
                config.scheduler.step()
                self.scheduler_progress.increment_completed()

    def _read_logs(self, plan: StepPlan) -> None:
        """Read logged values if they are due, and count the batch."""
        trainer, every = self.trainer, self.trainer.log_every_n_steps
        connector, results = internals.logger_connector(trainer), internals.results(trainer)
        due = every and (self._batches_that_stepped + 1) % every == 0
        if due or self._is_training_done or trainer.should_stop or trainer.fast_dev_run:
            connector.on_batch_end()
            self.batch_progress.increment_completed()
            connector.update_train_step_metrics()
            return
        if not plan.validates_last:
            connector.on_batch_end()
        results.batch = results.batch_size = None
        self.batch_progress.increment_completed()


class ValidationLoop(internals.EvaluationLoop):  # type: ignore[misc]
    """Lightning's validation, with a function that is called before its loaders are started."""

    before: Callable[[], None] | None = None
    """Called before a validation during training."""

    def run(self) -> list[Any]:
        """Run the validation."""
        if self.before is not None and not self.trainer.sanity_checking:
            self.before()
        outputs: list[Any] = super().run()
        return outputs


class FitLoop(internals.FitLoop):  # type: ignore[misc]
    """Lightning's loop over epochs, which also runs a pending validation.

    Lightning considers a run complete after its last step, even if it was stopped during the
    validation that follows that step.
    """

    @property
    def done(self) -> bool:
        """Whether the run is complete."""
        validation: Any = self.epoch_loop.val_loop.batch_progress.total
        return bool(super().done) and not (
            self.restarting and validation.ready > validation.processed
        )
