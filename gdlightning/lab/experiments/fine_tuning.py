"""Fine-tuning needs a smaller learning rate than training from scratch.

A net with two layers of 128 units learns the digits from all training images (AdamW, 1e-3). It is
then trained on digits rotated by 30°, five images of each, for 200 full-batch steps of AdamW with a
cosine schedule, at learning rates from 1e-5 to 0.1. A net from scratch is trained in the same way.
Both are tested on other rotated digits, and the first also on upright ones, which it learned
before.

The best learning rate is the one with the lowest loss on one half of the rotated test images;
accuracies are those of the other half. A learning rate keeps the upright digits if the accuracy on
them decreases by less than five points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import digits

SOURCE = (
    "McCloskey and Cohen 1989, Catastrophic Interference in Connectionist Networks; Howard and "
    "Ruder 2018, arXiv:1801.06146"
)
RATES = tuple(10 ** (k / 2) for k in range(-10, -1))
STEPS, SHOTS, ANGLE, KEPT = 200, 5, 30.0, 0.05
SMALLER = 10**-0.4
"""Factor from which on a rate of a grid of half decades is smaller."""


def measure(seed: int) -> Found:
    """Measure loss and accuracies by learning rate, fine-tuned and from scratch."""
    data = digits(seed)
    few = torch.cat([(data.y == k).nonzero()[:SHOTS, 0] for k in range(10)])
    x, y, turned = turn(data.x[few]), data.y[few], turn(data.test_x)
    half = len(turned) // 2
    trained = _net(seed)
    descend(
        trained,
        F.cross_entropy,
        data.x,
        data.y,
        {"name": "adamw", "lr": 1e-3},
        600,
        batch_size=64,
        schedule="cosine",
        seed=seed,
    )
    found: Found = {"before": _right(trained, data.test_x, data.test_y)}
    for name in ("fine-tuned", "from scratch"):
        found[name] = []
        for lr in RATES:
            net = _net(seed + 100)
            if name == "fine-tuned":
                net.load_state_dict(trained.state_dict())
            adamw = {"name": "adamw", "lr": lr}
            descend(net, F.cross_entropy, x, y, adamw, STEPS, schedule="cosine")
            with torch.no_grad():
                loss = F.cross_entropy(net(turned[:half]), data.test_y[:half])
            new = _right(net, turned[half:], data.test_y[half:])
            old = _right(net, data.test_x, data.test_y)
            found[name].append({"loss": float(loss), "new": new, "old": old})
    return found


def turn(x: Tensor, degrees: float = ANGLE) -> Tensor:
    """Rotate flat images of 8 × 8 pixels [n, 64] about their centre."""
    angle = math.radians(degrees)
    turned = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]]
    )
    images = x.view(-1, 1, 8, 8)
    grid = F.affine_grid(turned.expand(len(x), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False).flatten(1)


def _net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


@torch.no_grad()
def _right(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the accuracy."""
    return float((net(x).argmax(1) == y).float().mean())


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if the best learning rate for the new images is smaller than from scratch.

    Under conditions, if it has to be smaller only in order that the old ones are kept.
    """
    tuned, scratch = ([_best(one[k]) for one in found] for k in ("fine-tuned", "from scratch"))
    ratios = [RATES[a] / RATES[b] for a, b in zip(tuned, scratch, strict=True)]
    kept = [_keeping(one) for one in found]
    lost, lost_scratch = (_lost(found, best) for best in (tuned, scratch))
    effects = (
        effect("best learning rate, fine-tuned", [RATES[k] for k in tuned]),
        effect("best learning rate, from scratch", [RATES[k] for k in scratch]),
        effect("largest learning rate that keeps the upright digits", [k or None for k in kept]),
        effect("accuracy on rotated digits, fine-tuned", _new(found, "fine-tuned", tuned), "%"),
        effect(
            "accuracy on rotated digits, from scratch", _new(found, "from scratch", scratch), "%"
        ),
        effect("accuracy lost on upright digits at the best rate", lost, "points"),
        effect(
            "accuracy lost on upright digits at the best rate from scratch", lost_scratch, "points"
        ),
    )
    smaller = median(ratios) < SMALLER
    limit = median(k / RATES[b] for k, b in zip(kept, scratch, strict=True)) < SMALLER
    verdict = (
        ClaimVerdict.HOLDS
        if smaller
        else ClaimVerdict.CONDITIONS
        if limit
        else ClaimVerdict.NOT_HERE
    )
    words = (
        f"The best learning rate for the rotated digits alone is {median(ratios):.2g} times that "
        f"from scratch. The upright digits are kept up to {median(kept):.2g}. At the best learning "
        f"rate from scratch, {median(lost_scratch):.2g} points of accuracy on them are lost."
    )
    return Conclusion(verdict, words, effects)


def _lost(found: Sequence[Found], best: Sequence[int]) -> list[float]:
    """Return the accuracy lost on the upright digits, in percentage points."""
    pairs = zip(found, best, strict=True)
    return [100 * (one["before"] - one["fine-tuned"][k]["old"]) for one, k in pairs]


def _best(rows: Sequence[Found]) -> int:
    return min(range(len(rows)), key=lambda k: rows[k]["loss"])


def _keeping(one: Found) -> float:
    """Return the largest rate up to which the upright digits are kept, or 0."""
    found = 0.0
    for rate, row in zip(RATES, one["fine-tuned"], strict=True):
        if one["before"] - row["old"] > KEPT:
            break
        found = rate
    return found


def _new(found: Sequence[Found], name: str, best: Sequence[int]) -> list[float]:
    return [100 * one[name][k]["new"] for one, k in zip(found, best, strict=True)]


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot accuracy by learning rate on the rotated and the upright digits."""
    made, panels = style.figure(1, 2, size=(5.4, 3.8), theme=theme)
    cases = (
        ("fine-tuned", "new", SERIES[0]),
        ("from scratch", "new", SERIES[1]),
        ("fine-tuned", "old", SERIES[0]),
    )
    for place, (name, which, colour) in enumerate(cases):
        panel = panels[place // 2]
        lines = [[100 * row[which] for row in one[name]] for one in found]
        for line in lines:
            panel.plot(RATES, line, color=colour, lw=0.8, alpha=0.35)
        middle = [median(values) for values in zip(*lines, strict=True)]
        panel.plot(RATES, middle, "o-", color=colour, lw=1.8, ms=4, label=name)
        chosen = median(RATES[_best(one[name])] for one in found)
        panel.axvline(chosen, color=colour, lw=1, ls=(0, (4, 3)), zorder=0)
    for panel in panels:
        panel.set(xscale="log", xlabel="learning rate", ylabel="test accuracy, %", ylim=(-3, 103))
    kept = median(_keeping(one) for one in found) or RATES[0] / 10**0.5
    panels[1].axvspan(kept * 10**0.25, RATES[-1] * 1.3, color=style.BAD, alpha=0.12, lw=0)
    panels[1].annotate(
        "over five points are lost", (RATES[-1], 95), ha="right", fontsize=9, color=theme.muted
    )
    panels[1].set_xlim(panels[0].get_xlim())
    style.title(panels[0], "Rotated digits, five images each (dashed: best rate)", theme)
    style.title(panels[1], "Upright digits after fine-tuning on rotated ones", theme)
    style.legend(panels[0], theme, loc="lower right")
    return made
