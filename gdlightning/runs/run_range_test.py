"""Run the learning-rate range test on the training run that a config describes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gdlightning.config.edit_yaml import rewritten
from gdlightning.config.schema import DEFAULTS, Config
from gdlightning.config.settings import merge, read_flags
from gdlightning.errors import UserError
from gdlightning.optimizers.registry import find
from gdlightning.range_test.lr_range_test import check, lr_key, range_test
from gdlightning.range_test.suggestion import LrRange
from gdlightning.runs.build_run import assemble, build_grouping
from gdlightning.runs.quiet import quiet

STEP_OPTIONS = (
    "accelerator",
    "precision",
    "deterministic",
    "benchmark",
    "accumulate_grad_batches",
    "limit_train_batches",
    "overfit_batches",
)
"""Options of the Trainer that change what an optimizer step computes."""


def find_lr(
    config: Config, *, steps: int, lr_min: float, lr_max: float, apply_to: Sequence[str] = ()
) -> tuple[LrRange, str]:
    """Run a range test.

    Args:
        config: the run to test; no run folder is written.
        steps: number of optimizer steps.
        lr_min: learning rate of the first step.
        lr_max: learning rate of the last step.
        apply_to: config files, the last of which the result will be written to.

    Returns:
        The range of learning rates, and the config key of the learning rate.

    Raises:
        UserError: the optimizer has no learning rate to find, or the result cannot be written to
            the last file of ``apply_to``.
    """
    quiet()
    if config.note:
        print(f"Note: {config.note}", file=sys.stderr)
    choice = config.choice
    check(choice, steps, lr_min, lr_max)
    key = ".".join(("optimizer", *lr_key(choice)))
    if apply_to:
        _check_apply(apply_to, choice.entry.name, key)
    training = assemble(config)
    options = config.values["trainer"]
    found = range_test(
        training.module,
        training.data,
        config.chosen("optimizer"),
        clip=config.chosen("clip"),
        groups=build_grouping(config),
        steps=steps,
        lr_min=lr_min,
        lr_max=lr_max,
        progress=options.get("enable_progress_bar") is not False,
        trainer={k: options[k] for k in STEP_OPTIONS if options.get(k) is not None},
    )
    return found, key


def config_flags(paths: Sequence[str]) -> list[str]:
    """Return ``--config PATH`` for each path."""
    return [part for path in paths for part in ("--config", path)]


def _check_apply(files: Sequence[str], tested: str, key: str) -> None:
    """Check that the last file can take the result, and trains with the tested optimizer.

    Raises:
        UserError: the files name another optimizer, or the last file cannot be edited.
    """
    setting = merge(read_flags(config_flags(files), set())[0]).get("optimizer.name")
    named = str(setting.value) if setting else DEFAULTS["optimizer"]
    if named == "auto" or find(named).name != tested:
        raise UserError(
            f"--apply: {files[-1]} trains with {named}, but {tested} was tested.\n"
            f"Write optimizer: {tested} there first, or leave --apply out."
        )
    rewritten(files[-1], key, 0.1)
