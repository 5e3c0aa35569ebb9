"""Inject faults into runs, count the verdicts that detect them, and count false alarms.

Each fault is trained with ten seeds by ``gdl fit``. It counts as found if its verdict is among the
root causes, and as first if it is the first one. Healthy runs use the example configs, shortened if
they overfit; a fault or a warning counts as a false alarm. Prints a Markdown table.

    python scripts/verdicts/faults.py
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from tqdm import tqdm

from gdlightning.__main__ import main as gdl
from gdlightning.diagnostics.diagnose import VERDICTS

HERE = Path(__file__).parent
CONFIGS = HERE.parent.parent / "configs"
QUIET = (
    "--loggers",
    "[]",
    "--trainer.enable_progress_bar",
    "false",
    "--threads",
    "1",
    "--trainer.enable_checkpointing",
    "false",
    "--trainer.limit_test_batches",
    "1",
    "--trainer.accelerator",
    "cpu",
    "--watch.samples",
    "false",
)
Spoil = Callable[[Any, np.random.Generator], Any]
Make = Callable[[int, Path], tuple[str, ...]]
"""Function from a seed and a folder for files to flags."""


def table(spoil: Spoil, name: str = "breast_cancer") -> Make:
    """Return flags for a modified table of scikit-learn."""

    def flags(seed: int, folder: Path) -> tuple[str, ...]:
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        spoilt = spoil(frame, np.random.default_rng(seed))
        spoilt.to_csv(folder / "table.csv", index=False)
        return (
            "--data",
            "tabular",
            "--data.path",
            str(folder / "table.csv"),
            "--data.target",
            "target",
        )

    return flags


def fixed(*flags: str) -> Make:
    """Return the same flags for each seed."""
    return lambda seed, folder: flags


def net(name: str, *flags: str) -> Make:
    """Return flags for a net of broken.py without further options."""
    return fixed("--model.net", f"broken.{name}", "--clip", "none", *flags)


def _constant(frame: Any, random: np.random.Generator) -> Any:
    for column in frame.columns.drop("target"):
        frame[column] = 1.5
    return frame


def _shuffled(frame: Any, random: np.random.Generator) -> Any:
    frame["target"] = random.permutation(frame["target"].to_numpy())
    return frame


def _repeated(frame: Any, random: np.random.Generator) -> Any:
    import pandas as pd

    return pd.concat([frame, frame.sample(frac=0.5, random_state=int(random.integers(1000)))])


def _outlier(frame: Any, random: np.random.Generator) -> Any:
    rows = random.choice(len(frame), 3, replace=False)
    frame.loc[rows, "target"] *= 30.0
    return frame


SHORT = ("--trainer.max_epochs", "12")
FAULTS: dict[str, tuple[set[str], Make]] = {
    "vanishing gradients: ten sigmoids": (
        {"vanishing-gradients"},
        net("Sigmoids", "--optimizer", "sgd", *SHORT),
    ),
    "exploding at the start: weights times 8": (
        {"exploding-at-start"},
        net(
            "Large",
            "--optimizer",
            "sgd",
            "--optimizer.lr",
            "0.01",
            "--guard.policy",
            "skip",
            *SHORT,
        ),
    ),
    "dead units: a layer's biases at -20": (
        {"dead-units"},
        net("Dead", "--optimizer", "sgd", *SHORT),
    ),
    "constant inputs": ({"constant-input"}, table(_constant)),
    "plateau: two linear layers near their saddle point": (
        {"plateau"},
        net("Flat", "--optimizer", "sgd", "--optimizer.lr", "0.003", "--schedule", "constant"),
    ),
    "learning rate of 1000": (
        {"lr-too-large", "diverged"},
        fixed(
            "--optimizer",
            "sgd",
            "--optimizer.lr",
            "1000",
            "--clip",
            "none",
            "--schedule",
            "constant",
        ),
    ),
    "learning rate of 1e-6": (
        {"lr-too-small"},
        fixed("--optimizer.lr", "1e-6", "--schedule", "constant"),
    ),
    "overfitting: 100 epochs without dropout": (
        {"overfitting"},
        fixed(
            "--trainer.max_epochs",
            "100",
            "--model.net.dropout",
            "0",
            "--data.val_fraction",
            "0.3",
            "--data.test_fraction",
            "0.5",
            "--optimizer.weight_decay",
            "0",
        ),
    ),
    "shuffled targets": (
        {"nothing-carries-over"},
        lambda seed, folder: (
            *table(_shuffled)(seed, folder),
            "--trainer.max_epochs",
            "100",
            "--model.net.dropout",
            "0",
            "--model.net.hidden",
            "[256,256]",
            "--optimizer.lr",
            "3e-3",
        ),
    ),
    "half of the rows twice": ({"leak-between-splits", "repeated-rows"}, table(_repeated)),
    "three targets 30 times as large": (
        {"bad-examples"},
        lambda seed, folder: (
            *table(_outlier, "diabetes")(seed, folder),
            "--model",
            "tabular-regression",
            "--clip",
            "none",
        ),
    ),
    "clipping at 0.0001": ({"clip-always"}, fixed("--clip.max_norm", "1e-4")),
    "weight decay on vectors": (
        {"decay-on-vectors"},
        fixed("--groups.decay", "[matrix,output,vector]"),
    ),
}
"""Verdicts that detect each fault, and flags added to configs/tabular.yaml."""
HEALTHY: dict[str, tuple[str, ...]] = {
    "tabular": ("--trainer.max_epochs", "8"),
    "tabular_regression": (),
    "text": (),
    "forecast": ("--trainer.max_epochs", "30"),
    "vision": ("--model.net.width", "8", "--trainer.max_epochs", "8"),
    "vision_vit": (
        "--model.net.width",
        "32",
        "--model.net.depth",
        "2",
        "--trainer.max_epochs",
        "12",
    ),
    "sequence": ("--model.net.width", "48", "--trainer.max_epochs", "8"),
    "transformer": (
        "--model.net.width",
        "48",
        "--model.net.depth",
        "2",
        "--data.context",
        "64",
        "--trainer.max_steps",
        "400",
        "--trainer.val_check_interval",
        "100",
    ),
}


def verdicts(config: str, flags: tuple[str, ...], seed: int, folder: Path) -> list[dict[str, Any]]:
    """Return the verdicts of one run."""
    output = io.StringIO()
    command = [
        "fit",
        "--config",
        str(CONFIGS / f"{config}.yaml"),
        *QUIET,
        "--seed",
        str(seed),
        "--run_root",
        str(folder / "runs"),
        *flags,
    ]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = gdl(command)
    if code not in (0, 3):
        raise RuntimeError(output.getvalue()[-800:])
    (file,) = folder.glob(f"runs/*/*/{VERDICTS}")
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found


def tried(config: str, make: Make, seeds: int) -> list[list[dict[str, Any]]]:
    """Return the verdicts of each seed."""
    found = []
    for seed in tqdm(range(seeds), desc=config, file=sys.stderr, leave=False):
        with tempfile.TemporaryDirectory() as folder:
            found.append(verdicts(config, make(seed, Path(folder)), seed, Path(folder)))
    return found


def _bad(verdict: dict[str, Any]) -> bool:
    return verdict["severity"] in ("fault", "warning")


def main() -> None:
    """Train all runs, and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each fault")
    parser.add_argument("--healthy", type=int, default=13, help="seeds of each example config")
    parser.add_argument("--only", default="", help="only faults that contain this text")
    given = parser.parse_args()
    sys.path.insert(0, str(HERE))
    print("| fault | found | first | other verdicts |\n|---|---|---|---|", flush=True)
    for name, (wanted, make) in FAULTS.items():
        if given.only not in name:
            continue
        runs = tried("tabular", make, given.seeds)
        roots = [[v for v in run if not v["because"]] for run in runs]
        found = sum(any(v["name"] in wanted for v in run) for run in roots)
        first = sum(bool(run) and run[0]["name"] in wanted for run in runs)
        others = Counter(
            v["name"] for run in roots for v in run if v["name"] not in wanted and _bad(v)
        )
        told = ", ".join(f"{k} {n}" for k, n in others.most_common(4))
        print(f"| {name} | {found}/{len(runs)} | {first}/{len(runs)} | {told} |", flush=True)
    alarms: Counter[str] = Counter()
    count = 0
    for config, flags in HEALTHY.items() if not given.only else ():
        for run in tried(config, fixed(*flags), given.healthy):
            count += 1
            alarms.update({f"{config}: {v['name']}" for v in run if _bad(v)})
    told = ", ".join(f"{k} {n}" for k, n in alarms.most_common()) or "none"
    print(f"\n{count} healthy runs; false alarms: {told}.")


if __name__ == "__main__":
    main()
