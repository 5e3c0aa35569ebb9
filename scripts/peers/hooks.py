"""Compare the hooks that `gdl fit` and Lightning's Trainer call, and their order.

Lightning's BoringModel is trained with every hook of module and data overridden. One variant leaves
out the hooks that make gdlightning use Lightning's own loop, so that both loops are compared.
Checkpoints are left out: the two save at different times. Prints the differences; the exit code is
1 if there are any.

    python scripts/peers/hooks.py
"""

from __future__ import annotations

import difflib
import functools
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.core.hooks import CheckpointHooks, DataHooks, ModelHooks
from lightning.pytorch.demos.boring_classes import BoringModel

from gdlightning.__main__ import main

CALLS: list[str] = []
"""Hooks in the order in which they were called."""
STEP = {
    *("optimizer_step", "optimizer_zero_grad", "lr_scheduler_step", "backward"),
    *("configure_gradient_clipping", "on_train_batch_start"),
}
"""Hooks of a step that leave it to Lightning's loop or are part of it."""
CHECKPOINTS = {"on_save_checkpoint", "on_load_checkpoint"}
HOOKS = {
    *(n for c in (ModelHooks, DataHooks, CheckpointHooks) for n in vars(c) if n[0] != "_"),
    *("training_step", "validation_step", "configure_optimizers", "configure_callbacks", *STEP),
}


class EveryHook(BoringModel):
    """All hooks are overridden."""


class MostHooks(BoringModel):
    """All hooks but those of a step are overridden."""


def record(cls: type, names: set[str]) -> None:
    """Override the methods of a class so that their calls are recorded."""
    for name in sorted(names):
        setattr(cls, name, _recorded(name, getattr(cls, name)))


def _recorded(name: str, method: Any) -> Any:
    @functools.wraps(method)
    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        CALLS.append(name)
        return method(self, *args, **kwargs)

    return recorded


record(EveryHook, HOOKS)
record(MostHooks, HOOKS - STEP)
LIMITS = {"max_epochs": 2, "limit_train_batches": 4, "limit_val_batches": 2, "accelerator": "cpu"}


def by_lightning(cls: type[BoringModel]) -> list[str]:
    """Return the calls of a plain Trainer."""
    CALLS.clear()
    L.Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **LIMITS,  # type: ignore[arg-type]
    ).fit(cls())
    return [name for name in CALLS if name not in CHECKPOINTS]


def by_gdlightning(cls: type[BoringModel]) -> list[str]:
    """Return the calls of ``gdl fit`` in the working directory.

    The monitor is off, since it evaluates some training steps again.
    """
    CALLS.clear()
    flags = [part for key, value in LIMITS.items() for part in (f"--trainer.{key}", str(value))]
    model = f"{cls.__module__}.{cls.__qualname__}"
    quiet = ["--trainer.enable_progress_bar", "false", "--monitor.every", "0"]
    code = main(["fit", "--model", model, *flags, *quiet])
    assert code == 0
    return [name for name in CALLS if name not in CHECKPOINTS]


def differences(cls: type[BoringModel]) -> tuple[int, list[str]]:
    """Return the number of calls and the differences as lines of a diff."""
    expected, found = by_lightning(cls), by_gdlightning(cls)
    return len(expected), list(difflib.unified_diff(expected, found, "Lightning", "gdl fit", n=1))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    sys.path.insert(0, str(Path(__file__).parent))
    import hooks  # the classes that `gdl fit` imports by their path

    os.chdir(tempfile.mkdtemp())
    different = False
    for model in (hooks.EveryHook, hooks.MostHooks):
        count, lines = hooks.differences(model)
        different |= bool(lines)
        print(f"{model.__name__}: {count} calls, {'different' if lines else 'equal'}", *lines)
    sys.exit(different)
