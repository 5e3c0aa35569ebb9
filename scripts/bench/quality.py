"""Train the config of each task with three seeds, and compare it with a reference model.

All runs use the split of data seed 0; seeds 0, 1 and 2 change initial weights, dropout and
augmentation. Prints a Markdown table.

    python scripts/bench/quality.py
    python scripts/bench/quality.py tabular
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from gdlightning.runs.build_run import build_data
from gdlightning.runs.load_config import load

ROOT = Path(__file__).parent.parent.parent


def arrays(data: Any, part: str) -> tuple[Any, Any]:
    """Return the inputs of a split as flat rows, as the net receives them, and the targets."""
    inputs, targets = data.rows[part].take(torch.arange(len(data.rows[part])))
    while isinstance(inputs, tuple):
        inputs = inputs[0]
    return inputs.numpy().reshape(len(targets), -1), targets.numpy()


def logistic_auc(data: Any) -> float:
    """Logistic regression."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.metrics import roc_auc_score

    model = LogisticRegressionCV(
        Cs=10, max_iter=5000, scoring="roc_auc", l1_ratios=(0.0,), use_legacy_attributes=False
    )
    model.fit(*arrays(data, "train"))
    inputs, targets = arrays(data, "test")
    return float(roc_auc_score(targets, model.predict_proba(inputs)[:, 1]))


def ridge_rmse(data: Any) -> float:
    """Ridge regression."""
    from sklearn.linear_model import RidgeCV

    inputs, targets = arrays(data, "test")
    model = RidgeCV(np.logspace(-2, 3, 21)).fit(*arrays(data, "train"))
    return float(np.sqrt(np.mean((model.predict(inputs) - targets) ** 2)))


def vectors_accuracy(data: Any) -> float:
    """Support vector machine."""
    from sklearn.svm import SVC

    return float(SVC().fit(*arrays(data, "train")).score(*arrays(data, "test")))


def words_accuracy(data: Any) -> float:
    """Tf-idf and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline

    texts, _, labels = data.texts()
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegressionCV(
            Cs=(1, 10, 100),
            scoring="accuracy",
            max_iter=5000,
            l1_ratios=(0.0,),
            use_legacy_attributes=False,
        ),
    )
    train, test = data.rows["train"].index.tolist(), data.rows["test"].index.tolist()
    model.fit([texts[k] for k in train], [labels[k] for k in train])
    return float(model.score([texts[k] for k in test], [labels[k] for k in test]))


def seasonal_rmse(data: Any) -> float:
    """Value of the same month one year earlier."""
    rows = data.rows["test"]
    errors = [
        rows.series[k][start - 12 : start] - rows.series[k][start : start + 12]
        for k, start in rows.windows
    ]
    return float(torch.cat(errors).square().mean().sqrt())


def xz_bits(data: Any) -> float:
    """xz, primed with the training text."""
    before, test = (data.rows[k].corpus.tobytes() for k in ("train", "test"))
    sizes = [len(lzma.compress(text, preset=9)) for text in (before, before + test)]
    return 8 * (sizes[1] - sizes[0]) / len(test)


@dataclass(frozen=True)
class Case:
    """A config, its metric, and its reference."""

    config: str
    metric: str
    goal: str
    reference: Callable[[Any], float]


CASES = (
    Case("tabular", "test_auroc", "at least 0.99", logistic_auc),
    Case("tabular_regression", "test_rmse", "at most ridge regression's", ridge_rmse),
    Case("vision", "test_accuracy", "at least 0.985", vectors_accuracy),
    Case("vision_vit", "test_accuracy", "at least 0.985", vectors_accuracy),
    Case("sequence", "test_accuracy", "at least 0.97", vectors_accuracy),
    Case("forecast", "test_rmse", "below the naive forecast's", seasonal_rmse),
    Case("text", "test_accuracy", "at least logistic regression's", words_accuracy),
    Case("transformer", "test_bits_per_byte", "at most 1.75", xz_bits),
)


def trained(case: Case, seed: int, extra: list[str]) -> tuple[float, float]:
    """Return the metric of one ``gdl fit``, and its duration in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "gdlightning", "fit", "--seed", str(seed), "--data.seed", "0"),
            *("--config", str(ROOT / "configs" / f"{case.config}.yaml"), "--run_root", folder),
            *extra,
        ]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        metrics = json.loads(next(Path(folder).glob("*/*/metrics.json")).read_text())
    return metrics[case.metric], seconds


def main() -> None:
    """Run the selected configs, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="*", help="names in configs/ (default: all)")
    parser.add_argument("--seeds", type=int, default=3)
    arguments, extra = parser.parse_known_args()
    print("| config | metric | seeds 0, 1, 2 | mean | reference on the same split | goal | s/run |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for case in CASES:
        if arguments.configs and case.config not in arguments.configs:
            continue
        config, _ = load(["--config", str(ROOT / "configs" / f"{case.config}.yaml"), *extra])
        data: Any = build_data(config)
        data.setup()
        reference = case.reference(data)
        runs = [trained(case, seed, extra) for seed in range(arguments.seeds)]
        figures, seconds = zip(*runs, strict=True)
        cells = (
            case.config,
            case.metric,
            ", ".join(f"{f:.4f}" for f in figures),
            f"{math.fsum(figures) / len(figures):.4f}",
            f"{case.reference.__doc__} {reference:.4f}".replace(". ", " "),
            case.goal,
            f"{mean(seconds):.0f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
