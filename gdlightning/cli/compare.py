"""``gdl compare``: which optimizer, with evidence, on one's own task."""

from __future__ import annotations

import argparse
import shlex

from gdlightning.errors import UserError, require

USAGE = "gdl compare --config FILE --optimizers adamw,sgd,muon [--budget 20m]"


def main(argv: list[str]) -> int:
    """Compare optimizers on the tasks of one or more configs.

    Raises:
        UserError: whatever is wrong with configs or options, before anything is trained.
    """
    given, rest = _parser().parse_known_args(argv)
    configs = [*given.config, *(c for many in given.configs for c in many.split(","))]
    if not configs:
        raise UserError(f"compare needs a config: {USAGE}")
    require("optuna", "compare", "gdl compare")
    from gdlightning.runs.run_comparison import compare
    from gdlightning.study.comparison_report import in_columns
    from gdlightning.study.search import StudyPlan

    plan = StudyPlan(
        trials=_least("--trials", given.trials, 1), seeds=_least("--seeds", given.seeds, 1),
        sampler=given.search, halving=not given.no_halving,
    )  # fmt: skip
    found, folder = compare(given, configs, rest, plan, _again(argv))
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
        description="Compare optimizers: the same tuning budget for each, fresh seeds for the "
        "verdict. Started again after a stop, it goes on. Flags of gdl fit change the config.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", action="append", default=[], help="a YAML file, as for gdl fit")
    add("--configs", action="append", default=[], metavar="A,B", help="several workloads")
    add("--optimizers", default="adamw,sgd,lion", metavar="A,B", help="names: gdl optimizers")
    add("--budget", metavar="TIME", help="such as 90s, 20m, 2h: trials, and if need be steps, fit")
    add("--trials", type=int, default=8, help="settings tried of each (8)")
    add("--seeds", type=int, default=3, help="for the verdict (3)")
    add("--steps", type=int, help="optimizer steps of a training (the config's own)")
    add("--metric", default="val_loss", help="to tune for, such as val_accuracy (val_loss)")
    add("--target", type=float, help="of that metric, to count steps to (best untuned)")
    add("--tune", metavar="A,B", help="any of lr, weight_decay, momentum, warmup (by trials)")
    add("--space", metavar="FILE", help="YAML: label → {optimizer: {…}, lr: [low, high], …}")
    add("--search", choices=("quasi-random", "tpe"), default="quasi-random")
    add("--no-halving", action="store_true", help="train every setting in full")
    add("--workers", type=int, default=1, help="processes on this machine (1)")
    add("--storage", metavar="URL", help="a database that workers on many machines share")
    add("--output", metavar="FOLDER", help="of the report (studies/NAME)")
    add("--format", choices=("text", "json"), default="text")
    add("--follow", action="store_true", help=argparse.SUPPRESS)
    return parser


def _least(flag: str, value: int, least: int) -> int:
    if value < least:
        raise UserError(f"{flag} is {value}; write {least} or more.")
    return value


def _again(argv: list[str]) -> str:
    return shlex.join(["gdl", "compare", *argv])
