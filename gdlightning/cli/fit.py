"""``gdl fit``: train, then test, and leave a run folder."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

from gdlightning.cli.config import Config, load
from gdlightning.errors import UserError


def main(argv: list[str]) -> int:
    """Train what the config and flags describe.

    Raises:
        UserError: whatever is wrong with them, before anything is written.
    """
    if set(argv) & {"--help", "-h"} or any(a.partition("=")[0].endswith(".help") for a in argv):
        from gdlightning.cli.help import show

        return show(argv)
    config, switches = load(argv)
    if switches.get("print_config"):
        from gdlightning.cli.folder import to_yaml

        print(to_yaml(config.values), end="")
        return 0
    fit(config)
    return 0


def fit(config: Config) -> Path:
    """Train and test; returns the run folder."""
    from gdlightning.cli.assemble import assemble

    quiet()
    training = assemble(config)
    _licence(training.optimization.choice.entry)
    from gdlightning.cli import trainer as trainers
    from gdlightning.cli.folder import new_folder, to_yaml, write_json, write_text

    trainers.check(training)
    folder = new_folder(config.values["run_root"], config.values["name"])
    write_text(folder / "config.yaml", to_yaml(config.values))
    trainer = trainers.build(training, folder)
    try:
        trainer.fit(training.module, datamodule=training.data)
    except UserError:
        _remove_if_unused(folder)
        raise
    except SystemExit:  # Lightning's answer to an interrupt
        print(f"\nStopped at step {trainer.global_step}. What was saved is in {folder}")
        raise SystemExit(130) from None
    metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
    if _has_test(training.data):
        test = trainer.test(training.module, datamodule=training.data, verbose=False)
        metrics |= {k: float(v) for row in test for k, v in row.items()}
    if trainer.is_global_zero:
        trainers.log_final(trainer, training, metrics)
        write_json(folder / "metrics.json", metrics)
        _report(folder, trainer.global_step, metrics)
    return folder


def _has_test(data: Any) -> bool:
    from gdlightning.data.module import DataModule

    return isinstance(data, DataModule) and len(data.rows.get("test", ())) > 0


def _licence(entry: Any) -> None:
    if not entry.commercial:
        print(
            f"Note: {entry.name} is under {entry.licence}, which forbids commercial use.",
            file=sys.stderr,
        )


def _report(folder: Path, steps: int, metrics: dict[str, float]) -> None:
    shown = {k: v for k, v in metrics.items() if k.startswith("test_")} or metrics
    width = max((len(k) for k in shown), default=0)
    print(f"\nTrained for {steps:,} optimizer steps.")
    for name, value in shown.items():
        print(f"  {name.ljust(width)}  {value:.4g}")
    print(f"Run folder:  {folder}")
    print(f"Look at it:  tensorboard --logdir {folder.parent.parent}")
    print(f"Use it:      gdl predict {folder} --input FILE --output predictions.csv")


def _remove_if_unused(folder: Path) -> None:
    """Leave no folder of a run that never made a step."""
    import shutil

    if not list(folder.glob("checkpoints/*.ckpt")):
        shutil.rmtree(folder, ignore_errors=True)
        for parent in (folder.parent, folder.parent.parent):
            try:
                parent.rmdir()
            except OSError:
                break


def quiet() -> None:
    """Silence what Lightning says of things that are as they should be here."""
    import logging

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*number of training batches.*",
        ".*is smaller than the logging interval.*",
        ".*treespec.*",
        ".*LeafSpec.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*GPU available but not used.*",
        ".*No positive samples.*",
        ".*No negative samples.*",
        ".*Experiment logs directory.*exists and is not empty.*",
        ".*Sparse invariant checks.*",
        ".*Using backward\\(\\) with create_graph=True.*",
    ):
        warnings.filterwarnings("ignore", message)
