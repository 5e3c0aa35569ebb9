"""Callbacks that only watch a run, and therefore must not end it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import lightning.pytorch as L

from gdlightning.errors import UserError

PASSED = (UserError, OSError, MemoryError)
"""Errors that are not the observer's own: of the disk, of the configuration, lack of memory."""


class Observer(L.Callback):
    """Callback whose hooks are switched off when one of them fails.

    The hooks of subclasses are wrapped: the first exception is reported in one line on standard
    error, and no hook of this object runs after it. With several processes the exception is raised,
    since the others might wait for this one in a collective operation.

    Attributes:
        failed: whether a hook has failed.
    """

    failed = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            if name.startswith("on_") and callable(method):
                setattr(cls, name, _guarded(method))


def _guarded(hook: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(hook)
    def guarded(
        self: Observer, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any, **kw: Any
    ) -> None:
        if self.failed:
            return
        try:
            hook(self, trainer, pl_module, *args, **kw)
        except PASSED:
            raise
        except Exception as error:
            if trainer.world_size > 1:
                raise
            self.failed = True
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(
                f"\nNote: {type(self).__name__} is off from step {trainer.global_step} on: "
                f"{type(error).__name__}: {first}",
                file=sys.stderr,
            )

    return guarded
