"""In full-batch descent, λ·lr moves to the stability limit of 2 and stays there.

A net with two tanh layers of 32 units learns 200 digits by full-batch gradient descent on the
squared error for 3,000 steps, at three learning rates, and by heavy ball (momentum 0.9), whose
limit on a quadratic is 2 (1 + 0.9) = 3.8. Every 100 steps, the largest eigenvalue λ of the Hessian
is computed with the Lanczos method.

On a quadratic, gradient descent diverges if λ·lr is above 2. A net behaves differently: λ increases
to about 2/lr and stays there, while the loss continues to decrease, though not in every step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.lanczos import extremes
from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import digits

SOURCE = (
    "Cohen et al. 2021, Gradient Descent on Neural Networks Typically Occurs at the Edge of "
    "Stability, arXiv:2103.00065"
)
STEPS, EVERY = 3000, 100
PLAIN = {"name": "sgd", "momentum": 0.0, "nesterov": False}
CASES = {
    "descent, lr 0.3": (PLAIN | {"lr": 0.3}, 2.0),
    "descent, lr 0.5": (PLAIN | {"lr": 0.5}, 2.0),
    "descent, lr 0.8": (PLAIN | {"lr": 0.8}, 2.0),
    "heavy ball, lr 0.5": (PLAIN | {"lr": 0.5, "momentum": 0.9}, 3.8),
}
"""Name → optimizer, and the λ·lr at which it is stable on a quadratic, at most."""


def measure(seed: int) -> Found:
    """Measure λ·lr and the loss during each run."""
    data = digits(seed, 200)
    targets = F.one_hot(data.y, 10).float()
    return {name: _followed(case, data.x, targets, seed) for name, (case, _) in CASES.items()}


def _followed(optimizer: dict[str, Any], x: Tensor, targets: Tensor, seed: int) -> Found:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10)
    )

    def error(output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().sum(1).mean() / 2

    hessian = Hessian(
        lambda _: error(net(x), targets), dict(net.named_parameters()), [None], memory=0
    )
    products, losses = [], []

    def look(step: int, loss: float) -> None:
        if step % EVERY == 0:
            sharpest = extremes(hessian, steps=30, seed=step).top[0].value
            products.append(sharpest * optimizer["lr"])
            losses.append(loss)

    descend(net, error, x, targets, optimizer, STEPS, after=look)
    return {"products": products, "losses": losses}


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if λ·lr ends within a tenth of the limit of each optimizer."""
    effects, near = [], []
    for name, (_, limit) in CASES.items():
        ends = [_end(one[name]["products"]) for one in found]
        near += [abs(end / limit - 1) < 0.1 for end in ends]
        effects.append(effect(f"λ·lr at the end, {name}", ends, expected=f"{limit:g}"))
        starts = [one[name]["products"][:1] for one in found]
        effects.append(effect(f"λ·lr after {EVERY} steps, {name}", [s[0] for s in starts if s]))
    share = sum(near) / len(near)
    verdict = (
        ClaimVerdict.HOLDS
        if share > 0.9
        else ClaimVerdict.CONDITIONS
        if share > 0.5
        else ClaimVerdict.NOT_HERE
    )
    words = (
        f"In {sum(near)} of {len(near)} runs, λ·lr ends within a tenth of the limit, regardless "
        "of its initial value."
    )
    return Conclusion(verdict, words, tuple(effects))


def _end(products: Sequence[float]) -> float:
    """Return the median over the last third, or infinity if the run diverged."""
    return median(products[-10:]) if len(products) == STEPS // EVERY else math.inf


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot λ·lr and the loss by step, with a line per seed."""
    made, panels = style.figure(1, 2, size=(5.4, 3.8), theme=theme)
    steps = range(EVERY, STEPS + 1, EVERY)
    for colour, (name, (_, limit)) in zip(SERIES, CASES.items(), strict=False):
        for k, one in enumerate(found):
            label = name if k == 0 else None
            for panel, key in zip(panels, ("products", "losses"), strict=True):
                values = one[name][key]
                panel.plot(
                    steps[: len(values)], values, color=colour, lw=1.1, alpha=0.8, label=label
                )
        panels[0].axhline(limit, color=theme.muted, lw=0.8, ls=(0, (4, 3)), zorder=0)
    for limit, words in ((2.0, "2: the limit of descent"), (3.8, "3.8: of heavy ball")):
        panels[0].annotate(
            words,
            (STEPS, limit),
            xytext=(0, 7),
            textcoords="offset points",
            ha="right",
            fontsize=8.5,
            color=theme.muted,
        )
    panels[0].set(xlabel="steps", ylabel="λ·lr", ylim=(0, 4.5), xlim=(0, STEPS))
    panels[1].set(xlabel="steps", ylabel="training loss", yscale="log", xlim=(0, STEPS))
    style.title(panels[0], "λ·lr rises to the stability limit and stays there", theme)
    style.title(panels[1], "The loss continues to decrease", theme)
    style.legend(panels[1], theme)
    return made
