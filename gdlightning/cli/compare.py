"""``gdl compare``: compare optimizers on your task."""

from __future__ import annotations

import argparse
import shlex

from gdlightning.errors import UserError, require

GROUP = "choose"
SUMMARY = "Compare optimizers on your task, with equal tuning budgets"
USAGE = "gdl compare --config FILE --optimizers adamw,sgd"


def main(argv: list[str]) -> int:
    """Compare optimizers on the tasks of one or more configs.

    Raises:
        UserError: a config or option is wrong; raised before anything is trained.
    """
    given, rest = _parser().parse_known_args(argv)
    configs = [*given.config, *(c for many in given.configs for c in many.split(","))]
    if not configs:
        raise UserError(f"gdl compare needs a config: {USAGE}")
    require("optuna", "compare", "gdl compare")
    from gdlightning.runs.run_comparison import compare
    from gdlightning.study.comparison_report import in_columns
    from gdlightning.study.search import StudyPlan

    plan = StudyPlan(
        trials=_at_least("--trials", given.trials, 1),
        seeds=_at_least("--seeds", given.seeds, 1),
        sampler=given.search,
        halving=not given.no_halving,
    )
    found, folder = compare(given, configs, rest, plan, _command(argv))
    if given.follow:
        return 0
    if given.format == "json":
        print((folder / "report.json").read_text(), end="")
        return 0
    print(in_columns(found))
    print(f"Report:  {folder / 'report.html'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gdl compare",
        description="Compare optimizers: equal tuning budgets, and new seeds for the final "
        "ranking. An interrupted study resumes if it is started again. Flags of gdl fit change "
        "the config.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-c", "--config", action="append", default=[], help="a YAML file, as for gdl fit")
    add("--configs", action="append", default=[], metavar="A,B", help="several workloads")
    add("--optimizers", default="adamw,sgd,lion", metavar="A,B", help="names: gdl optimizers")
    add("--budget", metavar="TIME", help="90s, 20m or 2h; trials and steps are reduced to fit")
    add("--trials", type=int, default=8, help="settings to try per optimizer (8)")
    add("--seeds", type=int, default=3, help="seeds for the final ranking (3)")
    add("--steps", type=int, help="optimizer steps per run (from the config)")
    add("--metric", default="val_loss", help="metric to tune, such as val_accuracy (val_loss)")
    add("--target", type=float, help="count steps until the metric reaches this (best untuned)")
    add("--tune", metavar="A,B", help="any of lr, weight_decay, momentum, warmup (by trials)")
    add("--space", metavar="FILE", help="YAML: label → {optimizer: {…}, lr: [low, high], …}")
    add("--search", choices=("quasi-random", "tpe"), default="quasi-random")
    add("--no-halving", action="store_true", help="train every setting for all steps")
    add("--workers", type=int, default=1, help="processes on this machine (1)")
    add("--storage", metavar="URL", help="database shared by workers on several machines")
    add("--output", metavar="FOLDER", help="folder of the report (studies/NAME)")
    add("--format", choices=("text", "json"), default="text")
    add("--follow", action="store_true", help=argparse.SUPPRESS)
    return parser


def _at_least(flag: str, value: int, least: int) -> int:
    """Check a lower limit.

    Raises:
        UserError: the value is below it.
    """
    if value < least:
        raise UserError(f"{flag} is {value}; write {least} or more.")
    return value


def _command(argv: list[str]) -> str:
    return shlex.join(["gdl", "compare", *argv])
