"""Training with the optimizers and schedulers of the module's own ``configure_optimizers``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import lightning.pytorch as L
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from gdlightning.engine.optimization import Optimization, detach
from gdlightning.errors import UserError
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.registry import MODULE


def has_optimizers(module: type | L.LightningModule) -> bool:
    """Return whether a LightningModule defines ``configure_optimizers``."""
    cls = module if isinstance(module, type) else type(module)
    own: Any = getattr(cls, "configure_optimizers", None)
    return own is not None and own is not L.LightningModule.configure_optimizers


class ModuleOptimization(Optimization):
    """Clipping, guard and diagnosis for a module that configures its optimizers itself.

    Optimizers and schedulers are those of ``configure_optimizers``, unchanged. With manual
    optimization, steps and clipping are the module's own, too.

    Args:
        schedule: must be ``constant`` without a warmup.
        clip: a name, a mapping with ``name`` and options, a maximum global norm, or None.
        grouping: must be the default.

    Raises:
        UserError: if a schedule or parameter groups are configured, which only apply to an
            optimizer that gdlightning builds.
    """

    def __init__(
        self,
        schedule: str | Mapping[str, Any] = "constant",
        clip: str | float | Mapping[str, Any] | None = None,
        grouping: Grouping | None = None,
    ) -> None:
        super().__init__(MODULE.name, schedule, clip, grouping)
        for key, changed in {
            "schedule": self.schedule.name != "constant" or bool(self.schedule.warmup),
            "groups": _plain(self.grouping) != _plain(Grouping()),
        }.items():
            if changed:
                raise UserError(
                    f"{key} is not supported with the module's own optimizers "
                    "(configure_optimizers).\n"
                    "Name an optimizer to replace them, such as --optimizer adamw, or set it there."
                )

    def attach(self, module: L.LightningModule) -> None:
        """Attach to ``module``.

        Raises:
            UserError: if clipping is configured for a module with manual optimization.
        """
        detach(module)
        self._configure: Callable[[], Any] = module.configure_optimizers
        if module.automatic_optimization:
            super().attach(module)
            return
        self.module = module
        if self.clips:
            raise UserError(
                f"clip is not supported for {type(module).__name__}, which uses manual "
                "optimization (automatic_optimization = False).\n"
                "Remove clip, and call self.clip_gradients in training_step."
            )

    def check(self, module: torch.nn.Module) -> None:
        """Do nothing: the optimizers exist once Lightning has called ``configure_optimizers``."""

    def configure_optimizers(self) -> Any:
        """Return what the module's own ``configure_optimizers`` returns.

        Raises:
            UserError: if it returns no optimizer for automatic optimization.
        """
        self.check_trainer(self._module.trainer)
        found = self._configure()
        if found is None:
            raise UserError(
                f"{type(self._module).__name__}.configure_optimizers returns no optimizer.\n"
                "Return one, or name one, such as --optimizer adamw."
            )
        return found

    def describe(self, trainer: L.Trainer) -> dict[str, str]:
        """Return the names of optimizer and schedule, for the header of the measurements."""
        optimizers: list[Optimizer] = trainer.optimizers
        schedulers = [c.scheduler for c in trainer.lr_scheduler_configs]
        names = [type(s).__name__ for s in schedulers]
        plateau = any(isinstance(s, ReduceLROnPlateau) for s in schedulers)
        return {
            "optimizer": type(optimizers[0]).__name__ if optimizers else "none",
            "schedule": "reduce_on_plateau" if plateau else names[0] if names else "constant",
        }


def _plain(grouping: Grouping) -> dict[str, Any]:
    """Return the fields, with lists instead of other sequences."""
    values = asdict(grouping)
    return {k: list(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
