"""``gdl test``: metrics of a trained run on its test split."""

from __future__ import annotations

import argparse
import json

from gdlightning.cli.checkpoint_option import add_option


def main(argv: list[str]) -> int:
    """Evaluate a run again.

    Raises:
        UserError: there is no checkpoint, or its data has no test split.
    """
    parser = argparse.ArgumentParser("gdl test", description=__doc__.strip("`"))
    parser.add_argument("run", help="a run folder, or a checkpoint")
    add_option(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)

    from gdlightning.runs.choose_checkpoint import choose_checkpoint, report
    from gdlightning.runs.evaluate_run import evaluate
    from gdlightning.runs.load_run import rebuild
    from gdlightning.runs.quiet import quiet

    quiet()
    chosen = choose_checkpoint(given.run, given.checkpoint)
    module, data = rebuild(chosen.path, chosen.content)
    report(chosen)
    metrics = evaluate(module, data)
    if given.format == "json":
        print(json.dumps(metrics, indent=2))
        return 0
    if not metrics:
        print(f"{type(module).__name__}.test_step logged no metrics.")
    width = max(map(len, metrics), default=0)
    for name, value in metrics.items():
        print(f"{name.ljust(width)}  {value:.6g}")
    return 0
