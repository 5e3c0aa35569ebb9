"""Fit and evaluate the verdict on the learning rate, with cross-validation over tasks.

A learning rate is good if the mean training loss over the last tenth of the steps is within a tenth
of the best decrease for its task and optimizer, and the loss never exceeded twice its initial
value. Below that range it is too small, above it too large. The model is fitted on all tasks except
one and evaluated on that one, in turn. ``--write`` fits it on all tasks and stores it in the
package.

    python scripts/verdicts/sweep.py
    python scripts/verdicts/learning_rate.py --write
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sweep import TASKS, Case, cases

from gdlightning.diagnostics.lr_classifier import (
    CLASSES,
    FILE,
    NAMES,
    PARTS,
    Features,
    choose_class,
    features_of,
    restrict,
)
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.storage.atomic_write import write_json
from gdlightning.storage.journal import rows

NEAR, RISE = 0.1, 2.0
SHARES = (1.0, 0.25)
"""Fractions of a run after which the verdict is evaluated."""


@dataclass(frozen=True)
class Labelled:
    """A run, where it lies (-1 too small, 0 good, 1 too large), and how many half decades out."""

    case: Case
    lines: list[dict[str, Any]]
    side: int
    out: int

    def signs(self, share: float) -> Features:
        """Return the features after a fraction of the run."""
        until = None if share == 1 else int(share * TASKS[self.case.task][0])
        found = features_of(RunRecord.of(self.lines, until))
        if found is None:
            raise ValueError(f"{self.case} measured nothing.")
        return found


def labelled(seeds: int) -> list[Labelled]:
    """Return all runs of the sweep with their labels."""
    groups: dict[tuple[str, str, int], list[Case]] = defaultdict(list)
    for case in cases(seeds):
        if case.file.is_file():
            groups[case.task, case.optimizer, case.seed].append(case)
    found = []
    for own in groups.values():
        own.sort(key=lambda c: c.lr)
        lines = [list(rows(c.file)) for c in own]
        gaps = _gaps(own, [RunRecord.of(part) for part in lines])
        best = gaps.index(min(gaps))
        low = high = best
        while low > 0 and gaps[low - 1] <= NEAR:
            low -= 1
        while high + 1 < len(gaps) and gaps[high + 1] <= NEAR:
            high += 1
        for k, (case, part) in enumerate(zip(own, lines, strict=True)):
            side = -1 if k < low else 1 if k > high else 0
            out = max(low - k, k - high, 0)
            found.append(Labelled(case, part, side, out))
    return found


def _gaps(own: Sequence[Case], records: Sequence[RunRecord]) -> list[float]:
    """Return the loss of each run above the best, as a fraction of the best decrease."""
    first = float(np.median([r.losses[0] for r in records]))
    ends = [_end(c, r, first) for c, r in zip(own, records, strict=True)]
    best = min(ends)
    return [(end - best) / (first - best) for end in ends]


def _end(case: Case, record: RunRecord, first: float) -> float:
    level = [record.smooth(k / PARTS, (k + 1) / PARTS) for k in range(PARTS)]
    short = len(record.losses) < TASKS[case.task][0]
    if short or record.diverged is not None or not max(level) < RISE * first:
        return math.inf
    return record.smooth(0.9, 1.0)


def model() -> Any:
    """Not yet fitted."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=5000))


def held_out(runs: Sequence[Labelled], share: float) -> np.ndarray[Any, Any]:
    """Return the prediction for each run by a model fitted without its task."""
    measured = [r.signs(share) for r in runs]
    x = np.array([s.vector() for s in measured])
    y = np.array([r.side for r in runs])
    whole = np.array([r.signs(1.0).vector() for r in runs])
    task = np.array([r.case.task for r in runs])
    found = np.zeros(len(runs), dtype=int)
    for name in set(task):
        own = task == name
        seen = np.concatenate([x[~own], whole[~own]]) if share < 1 else x[~own]
        sides = np.concatenate([y[~own], y[~own]]) if share < 1 else y[~own]
        chances = model().fit(seen, sides).predict_proba(x[own])
        places = np.flatnonzero(own)
        for k, row in zip(places, chances, strict=True):
            found[k] = CLASSES.index(choose_class(restrict(measured[k], row.tolist()))) - 1
    return found


def figures(runs: Sequence[Labelled], said: np.ndarray[Any, Any]) -> dict[str, float]:
    """Return accuracy, precision, recall and confusions of too small and too large."""
    y = np.array([r.side for r in runs])
    far = np.array([r.out >= 2 for r in runs])
    found = {"runs": len(runs), "accuracy": float((said == y).mean())}
    for side, name in ((-1, "small"), (1, "large")):
        found[f"precision, too {name}"] = float((y[said == side] == side).mean())
        found[f"recall, too {name}"] = float((said[y == side] == side).mean())
        found[f"recall, too {name}, 10 times or more"] = float(
            (said[(y == side) & far] == side).mean()
        )
    found["swapped"] = int((said * y == -1).sum())
    return found


def folklore(runs: Sequence[Labelled]) -> np.ndarray[Any, Any]:
    """The rule that a step should be a thousandth of the weights, within a factor of ten."""
    ratio = [r.signs(1.0).vector()[NAMES.index("update_ratio")] for r in runs]
    return np.array([-1 if v < -4 else 1 if v > -2 else 0 for v in ratio])


def main() -> None:
    """Print the evaluation, and write the model if requested."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--write", action="store_true", help="fit on all tasks, and store in the package"
    )
    given = parser.parse_args()
    runs = labelled(given.seeds)
    columns = {
        "at the end": figures(runs, held_out(runs, 1.0)),
        "after a quarter": figures(runs, held_out(runs, 0.25)),
        "step / weights of 1e-3": figures(runs, folklore(runs)),
    }
    print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for key in next(iter(columns.values())):
        cells = [c[key] for c in columns.values()]
        print(
            f"| {key} | "
            + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in cells)
            + " |"
        )
    if given.write:
        x = np.array([r.signs(share).vector() for share in SHARES for r in runs])
        y = np.array([r.side for _ in SHARES for r in runs])
        fitted = model().fit(x, y)
        scaler, regression = fitted[0], fitted[1]
        write_json(
            FILE,
            {
                "names": list(NAMES),
                "mean": _plain(scaler.mean_),
                "scale": _plain(scaler.scale_),
                "weights": [_plain(row) for row in regression.coef_],
                "bias": _plain(regression.intercept_),
                "runs": len(runs),
            },
        )
        print(f"Wrote {FILE.name}, fitted on {len(runs)} runs.")


def _plain(values: Any) -> list[float]:
    return [float(f"{v:.6g}") for v in values]


if __name__ == "__main__":
    main()
