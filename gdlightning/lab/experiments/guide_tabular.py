"""On tables, Adam and AdamW match SGD with momentum and beat plain SGD.

The data sets are breast cancer (two classes, 30 features), wine (three classes, 13 features) and
diabetes (a number, 10 features) from scikit-learn. A quarter of the rows is used for testing, and a
quarter of the others to select the learning rate. A net with two layers of 32 units is trained for
200 steps of 32 rows with a cosine schedule, by SGD, SGD with momentum 0.9, Adam, and AdamW with
weight decay 0.1. Losses are relative to those of predicting the class priors, or for diabetes the
mean.

Each table is used twice: with each feature scaled to a standard deviation of 1, as usual, and
unscaled, with all features divided by a single number. The standard deviations of wine's unscaled
features differ by a factor of thousands, and with them the gradients of the weights of the first
layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical

from gdlightning.drawing import style
from gdlightning.drawing.style import Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, count, effect, shown
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.panels import curves, dots
from gdlightning.lab.samples import Split, split
from gdlightning.lab.tuning import Candidate, better, grid, reported, tuned

SOURCE = "gdlightning's selection guide, after Kingma and Ba 2015, Adam, arXiv:1412.6980"
SEEDS = 8
STEPS, BATCH, WIDTH = 200, 32, 32
CANDIDATES = {
    "SGD": Candidate({"name": "sgd", "momentum": 0.0, "nesterov": False}, grid(0.03, 10, 2)),
    "SGD with momentum": Candidate({"name": "momentum"}, grid(0.003, 1, 2)),
    "Adam": Candidate({"name": "adam"}, grid(0.001, 0.3, 2)),
    "AdamW": Candidate({"name": "adamw", "weight_decay": 0.1}, grid(0.001, 0.3, 2)),
}
ADAPTIVE = ("Adam", "AdamW")
TABLES = {"cancer": "breast_cancer", "wine": "wine", "diabetes": "diabetes"}
SCALES = {"scaled": "Features scaled", "raw": "Features as they come"}
"""Name in the record → in words."""


def measure(seed: int) -> Found:
    """Tune and test the candidates on each table, scaled and unscaled."""
    return {
        f"{name}, {scale}": _case(table(name, scale == "scaled", seed), seed)
        for scale in SCALES
        for name in TABLES
    }


def table(name: str, scaled: bool, seed: int) -> Split:
    """Load a table; regression targets have mean 0 and standard deviation 1."""
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    features, targets = getattr(datasets, f"load_{TABLES[name]}")(return_X_y=True, **options)
    y = torch.tensor(targets)
    if name == "diabetes":
        y = ((y - y.mean()) / y.std()).float()
    found = split(torch.tensor(features).float(), y, seed)
    scale = found.x.std(0) if scaled else found.x.std()
    return Split(found.x / scale, found.y, found.test_x / scale, found.test_y)


def _case(data: Split, seed: int) -> Found:
    held = len(data.x) // 4
    (x, own_x), (y, own_y) = ((a[:held], a[held:]) for a in (data.x, data.y))
    numbers = data.y.is_floating_point()
    outputs = 1 if numbers else int(data.y.max()) + 1
    loss = _squared if numbers else F.cross_entropy
    guessing = 1.0 if numbers else _entropy(own_y)

    def train(optimizer: dict[str, Any], seed: int) -> nn.Module:
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(x.shape[1], WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, outputs),
        )
        descend(
            net,
            loss,
            own_x,
            own_y,
            optimizer,
            STEPS,
            batch_size=BATCH,
            schedule="cosine",
            seed=seed,
        )
        return net

    @torch.no_grad()
    def held_out(net: nn.Module, x: Tensor, y: Tensor) -> float:
        return float(loss(net(x), y)) / guessing

    return tuned(
        CANDIDATES,
        train,
        lambda net: held_out(net, x, y),
        lambda net: {"test": held_out(net, data.test_x, data.test_y)},
        seed,
    )


def _squared(output: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(output[:, 0], target)


def _entropy(classes: Tensor) -> float:
    return float(Categorical(torch.bincount(classes).float()).entropy())


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if Adam and AdamW significantly beat plain SGD, scaled and unscaled.

    In part it holds where one of them is, on tables of one kind. Optimizers are compared seed by
    seed, by the mean of their losses on the three tables.
    """
    scores = {scale: _means(found, scale) for scale in SCALES}
    ahead = [better(s, one, "SGD") for s in scores.values() for one in ADAPTIVE]
    verdict = (
        ClaimVerdict.HOLDS
        if all(ahead)
        else ClaimVerdict.CONDITIONS
        if any(ahead)
        else ClaimVerdict.NOT_HERE
    )
    words = "Mean test loss relative to a constant prediction. " + " ".join(
        _words(label, scores[scale]) for scale, label in SCALES.items()
    )
    effects = [
        effect(f"relative test loss, mean of three tables, {label.lower()}, {name}", own)
        for scale, label in SCALES.items()
        for name, own in scores[scale].items()
    ]
    return Conclusion(verdict, words, tuple(effects))


def _means(found: Sequence[Found], scale: str) -> dict[str, list[float]]:
    tables = [reported([one[f"{name}, {scale}"] for one in found]) for name in TABLES]
    return {
        name: [fmean(row) for row in zip(*(t[name] for t in tables), strict=True)]
        for name in CANDIDATES
    }


def _words(label: str, scores: dict[str, list[float]]) -> str:
    figures = ", ".join(f"{name} {shown(median(values))}" for name, values in scores.items())
    parts = []
    for other in ("SGD", "SGD with momentum"):
        said = [(n, "ahead of") for n in ADAPTIVE if better(scores, n, other)]
        said += [(n, "behind") for n in ADAPTIVE if better(scores, other, n)]
        parts += [f"{name} {place} {other}" for name, place in said] or [
            f"neither apart from {other}"
        ]
    return f"{label}: {figures}; of Adam and AdamW the seeds show {', '.join(parts)}."


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot loss by learning rate on wine, and test losses on all tables."""
    made, panels = style.figure(1, 3, size=(5.0, 3.9), theme=theme)
    for panel, (scale, label) in zip(panels[:2], SCALES.items(), strict=True):
        curves(panel, [one[f"wine, {scale}"] for one in found], CANDIDATES, theme)
        panel.set(ylim=(0, 1.2), ylabel="validation loss / constant prediction")
        style.title(panel, f"Wine, {label.lower()}", theme)
    cases = {case: reported([one[case] for one in found]) for case in found[0]}
    dots(panels[2], {case.replace(", ", ",\n"): values for case, values in cases.items()}, theme)
    panels[2].set(ylabel="test loss / constant prediction", ylim=(0, 1.2))
    beyond = [v > 1.2 for one in cases.values() for own in one.values() for v in own]
    if any(beyond):
        panels[2].annotate(
            f"{count(beyond)} lie above",
            (1, 0.82),
            xycoords="axes fraction",
            ha="right",
            fontsize=8.5,
            color=theme.muted,
        )
    style.title(panels[2], "Test loss at the best learning rate", theme)
    handles = panels[0].get_lines()
    style.legend(panels[2], theme, handles=handles, loc="upper left", ncols=2)
    return made
