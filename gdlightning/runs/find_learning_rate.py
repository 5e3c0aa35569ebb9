"""A learning-rate range test of what a config describes."""

from __future__ import annotations

from gdlightning.config.schema import Config
from gdlightning.optimizers.choice import Choice
from gdlightning.range_test.lr_range_test import check, lr_key, range_test
from gdlightning.range_test.suggestion import LrRange
from gdlightning.runs.build_run import assemble, build_grouping

KEPT = ("accelerator", "precision", "deterministic", "benchmark", "accumulate_grad_batches",
        "limit_train_batches", "overfit_batches")  # fmt: skip
"""Options of the Trainer that affect a step."""
STEPS, LR_MIN, LR_MAX = 210, 1e-6, 10.0
"""Defaults of a range test: optimizer steps, first and last learning rate."""


def lr_option(config: Config, steps: int, lr_min: float, lr_max: float) -> str:
    """Return the option that a range test is about, such as ``optimizer.lr``.

    Raises:
        UserError: if the optimizer has no learning rate, or a number is out of range.
    """
    choice = Choice.of(config.chosen("optimizer"))
    check(choice, steps, lr_min, lr_max)
    return ".".join(("optimizer", *lr_key(choice)))


def find_learning_rate(
    config: Config, steps: int = STEPS, lr_min: float = LR_MIN, lr_max: float = LR_MAX
) -> LrRange:
    """Train for some steps with a growing learning rate, and evaluate the losses.

    Args:
        config: what is trained; no run is left behind.
        steps: optimizer steps.
        lr_min: learning rate of the first step.
        lr_max: learning rate of the last step.

    Raises:
        UserError: if the config is wrong, or there is no learning rate to find.
    """
    training = assemble(config)
    options = config.values["trainer"]
    return range_test(
        training.module,
        training.data,
        config.chosen("optimizer"),
        clip=config.chosen("clip"),
        groups=build_grouping(config),
        steps=steps,
        lr_min=lr_min,
        lr_max=lr_max,
        progress=options.get("enable_progress_bar") is not False,
        trainer={k: options[k] for k in KEPT if options.get(k) is not None},
    )
