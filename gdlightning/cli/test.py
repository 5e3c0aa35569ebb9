"""``gdl test``: metrics of a trained run on its test split."""

from __future__ import annotations

import argparse
import json

from gdlightning.errors import UserError


def main(argv: list[str]) -> int:
    """Evaluate a run again.

    Raises:
        UserError: there is no checkpoint, or its data has no test split.
    """
    parser = argparse.ArgumentParser("gdl test", description=__doc__.strip("`"))
    parser.add_argument("run", help="a run folder, or a checkpoint")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given = parser.parse_args(argv)

    import lightning.pytorch as L

    from gdlightning.data.data_module import DataModule
    from gdlightning.runs.load_run import restore
    from gdlightning.runs.quiet import quiet

    quiet()
    module, data = restore(given.run)
    if data is None:
        raise UserError(f"The config of {given.run} names no data to test on.")
    if isinstance(data, DataModule):
        data.setup()
        if len(data.rows.get("test", ())) == 0:
            raise UserError("data.test_fraction is 0: there is no test split.")
    trainer = L.Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    metrics = {
        k: float(v) for row in trainer.test(module, data, verbose=False) for k, v in row.items()
    }
    if given.format == "json":
        print(json.dumps(metrics, indent=2))
        return 0
    width = max(map(len, metrics), default=0)
    for name, value in metrics.items():
        print(f"{name.ljust(width)}  {value:.6g}")
    return 0
