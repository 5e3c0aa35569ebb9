"""Train eight small tasks with five optimizers and fifteen learning rates each, monitored.

Each run is a ``gdl fit`` with a constant learning rate and without clipping. Its measurements are
stored in ``runs/verdicts/sweep``, so that an interrupted sweep resumes. ``learning_rate.py`` uses
the results.

    python scripts/verdicts/sweep.py
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gdlightning.__main__ import main as gdl
from gdlightning.storage.journal import JOURNAL

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "runs" / "verdicts" / "sweep"
TASKS: dict[str, tuple[int, tuple[str, ...]]] = {
    "tabular": (300, ()),
    "tabular_regression": (300, ()),
    "vision": (200, ("--model.net.width", "8")),
    "vision_vit": (250, ("--model.net.width", "32", "--model.net.depth", "1")),
    "sequence": (250, ("--model.net.width", "32")),
    "forecast": (250, ()),
    "text": (250, ()),
    "transformer": (
        200,
        ("--model.net.width", "32", "--model.net.depth", "1", "--data.context", "64"),
    ),
}
"""Config → steps, and flags that make it small."""
OPTIMIZERS: dict[str, tuple[float, tuple[str, ...]]] = {
    "sgd": (0.1, ("--optimizer.momentum", "0", "--optimizer.nesterov", "false")),
    "momentum": (0.03, ("--optimizer.momentum", "0.9", "--optimizer.nesterov", "false")),
    "adamw": (0.003, ()),
    "adagrad": (0.03, ()),
    "lion": (0.001, ()),
}
"""Name → the middle of its learning rates, and flags."""
CLASSES = {"momentum": "sgd"}
STEPS_UP = range(-7, 8)
"""Half decades from the middle."""
COMMON = (
    "--loggers",
    "[]",
    "--trainer.enable_progress_bar",
    "false",
    "--clip",
    "none",
    "--trainer.enable_checkpointing",
    "false",
    "--schedule",
    "constant",
    "--threads",
    "1",
    "--trainer.num_sanity_val_steps",
    "0",
    "--trainer.limit_test_batches",
    "1",
    "--trainer.limit_val_batches",
    "4",
    "--trainer.accelerator",
    "cpu",
    "--watch.graph",
    "false",
    "--watch.samples",
    "false",
)


@dataclass(frozen=True)
class Case:
    """A run of the sweep."""

    task: str
    optimizer: str
    lr: float
    seed: int = 0

    @property
    def file(self) -> Path:
        """File of the stored measurements."""
        return KEPT / f"{self.task}+{self.optimizer}+{self.lr:.3g}+{self.seed}.jsonl"


def cases(seeds: int = 1) -> Iterator[Case]:
    """Return all runs of the sweep."""
    for seed in range(seeds):
        for task in TASKS:
            for optimizer, (middle, _) in OPTIMIZERS.items():
                for half in STEPS_UP:
                    yield Case(task, optimizer, float(f"{middle * 10 ** (half / 2):.3g}"), seed)


def run(case: Case) -> None:
    """Train and store the measurements; diverged runs end early."""
    steps, small = TASKS[case.task]
    output = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "fit",
            "--config",
            str(ROOT / "configs" / f"{case.task}.yaml"),
            *small,
            *COMMON,
            "--optimizer",
            CLASSES.get(case.optimizer, case.optimizer),
            "--optimizer.lr",
            repr(case.lr),
            *OPTIMIZERS[case.optimizer][1],
            "--trainer.max_steps",
            str(steps),
            "--trainer.max_epochs",
            "-1",
            "--trainer.val_check_interval",
            str(steps // 2),
            "--seed",
            str(case.seed),
            "--run_root",
            folder,
        ]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = gdl(command)
        if code not in (0, 3):
            raise RuntimeError(f"{case}: {output.getvalue()[-800:]}")
        (journal,) = Path(folder).glob(f"*/*/{JOURNAL}")
        temporary = case.file.with_suffix(".tmp")
        temporary.write_bytes(journal.read_bytes())
        temporary.replace(case.file)


def main() -> None:
    """Train the missing runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--part", default="0/1", help="K/N: every N-th run, starting at the K-th")
    given = parser.parse_args()
    own, parts = map(int, given.part.split("/"))
    KEPT.mkdir(parents=True, exist_ok=True)
    missing = [c for c in list(cases(given.seeds))[own::parts] if not c.file.is_file()]
    for case in tqdm(missing, file=sys.stderr):
        run(case)


if __name__ == "__main__":
    main()
