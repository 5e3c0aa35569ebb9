"""``gdl test``: metrics of a run on its test split."""

from __future__ import annotations

import argparse
import json

from gdlightning.cli.parsing.checkpoint_option import add_option

GROUP = "use"
SUMMARY = "Evaluate a run on its test split"
USAGE = "gdl test RUN"


def main(argv: list[str]) -> int:
    """Evaluate a run and print its metrics.

    Raises:
        UserError: the run has no checkpoint, or its data has no test split.
    """
    parser = argparse.ArgumentParser("gdl test", description=f"{SUMMARY}.")
    parser.add_argument("run", help="a run folder, or a checkpoint")
    add_option(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)

    from gdlightning.runs.evaluate_run import evaluate

    metrics = evaluate(given.run, given.checkpoint)
    if given.format == "json":
        print(json.dumps(metrics, indent=2))
        return 0
    if not metrics:
        print("The run's test_step logged no metrics.")
    width = max(map(len, metrics), default=0)
    for name, value in metrics.items():
        print(f"{name.ljust(width)}  {value:.6g}")
    return 0
