"""Momentum and adaptive optimizers cross plateaus on which plain descent stalls.

Four layers of 32 sigmoid units before the output learn the digits in batches of 64. The gradient
shrinks from layer to layer in the backward pass, so the first layers barely learn and the loss
stays at 2.3, that of predicting the class priors. The experiment counts the steps, at most 2,000,
until the mean loss of 20 batches is below half of that.

Plain descent, momentum 0.9 and Adam each use the best of several learning rates. For comparison,
plain descent is run with the cause removed: with tanh instead of sigmoids, or with layer norms
before the sigmoids.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import digits

SOURCE = (
    "Hochreiter 1991; Glorot and Bengio 2010, Understanding the Difficulty of Training Deep "
    "Feedforward Neural Networks"
)
DEPTH, WIDTH, BATCH, STEPS, WINDOW = 4, 32, 64, 2000, 20
HALF = math.log(10) / 2
PLAIN: dict[str, Any] = {"name": "sgd", "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
CASES: dict[str, tuple[str, dict[str, Any], tuple[float, ...]]] = {
    "descent": ("sigmoid", PLAIN, (0.3, 1.0, 3.0, 10.0)),
    "momentum": ("sigmoid", PLAIN | {"momentum": 0.9}, (0.03, 0.1, 0.3, 1.0)),
    "Adam": ("sigmoid", {"name": "adam"}, (0.003, 0.01, 0.03)),
    "descent, tanh": ("tanh", PLAIN, (0.03, 0.1, 0.3)),
    "descent, layer norms": ("normalised", PLAIN, (0.1, 0.3, 1.0)),
}
"""Name → units, optimizer, learning rates."""


def net(units: str) -> nn.Sequential:
    """Create a net from digits to logits with four hidden layers."""
    layers: list[nn.Module] = []
    for inputs in (64, *[WIDTH] * (DEPTH - 1)):
        layers += [nn.Linear(inputs, WIDTH)]
        layers += [nn.LayerNorm(WIDTH)] if units == "normalised" else []
        layers += [nn.Tanh() if units == "tanh" else nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def measure(seed: int) -> Found:
    """Measure steps until the plateau is left and losses, at the best rate, and gradients."""
    found: Found = {name: _soonest(name, seed) for name in CASES}
    for units in ("sigmoid", "tanh", "normalised"):
        found[f"gradient, {units}"] = _shrinkage(units, seed)
    return found


def _soonest(name: str, seed: int) -> Found:
    units, optimizer, rates = CASES[name]
    runs = [(lr, _left(units, optimizer | {"lr": lr}, seed)) for lr in rates]
    lr, losses = min(runs, key=lambda run: (len(run[1]), fmean(run[1][-WINDOW:])))
    return {"lr": lr, "steps": len(losses) if len(losses) < STEPS else None, "losses": losses}


def _left(units: str, optimizer: dict[str, Any], seed: int) -> list[float]:
    """Return the losses of a run that ends when it leaves the plateau."""
    data, last = digits(seed), deque[float](maxlen=WINDOW)
    torch.manual_seed(seed)

    def below(step: int, loss: float) -> bool:
        last.append(loss)
        return len(last) == WINDOW and fmean(last) < HALF

    losses = descend(
        net(units),
        F.cross_entropy,
        data.x,
        data.y,
        optimizer,
        STEPS,
        batch_size=BATCH,
        seed=seed,
        after=below,
    )
    return losses if math.isfinite(losses[-1]) else losses[:-1] + [10.0] * (STEPS + 1 - len(losses))


def _shrinkage(units: str, seed: int) -> float:
    """Return the initial ratio of the gradient norms of the first and the output layer."""
    data = digits(seed)
    torch.manual_seed(seed)
    made = net(units)
    F.cross_entropy(made(data.x), data.y).backward()
    norms = [float(p.grad.norm()) for p in made.parameters() if p.ndim == 2 and p.grad is not None]
    return norms[0] / norms[-1]


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if momentum and Adam both halve the steps of descent; conditionally if one does."""
    steps = {name: _steps(found, name) for name in CASES}
    plain = steps["descent"]
    sooner = [steps[name] < plain / 2 for name in ("momentum", "Adam")]
    verdict = (
        ClaimVerdict.HOLDS
        if all(sooner)
        else ClaimVerdict.CONDITIONS
        if any(sooner)
        else ClaimVerdict.NOT_HERE
    )
    effects = [
        effect(f"steps to leave the plateau, {name}", [one[name]["steps"] for one in found])
        for name in CASES
    ]
    effects += [
        effect(
            f"gradient of the first layer / last layer, {units}",
            [one[f"gradient, {units}"] for one in found],
        )
        for units in ("sigmoid", "tanh", "normalised")
    ]
    words = (
        f"Plain descent takes {_text(plain)} steps, momentum {_text(steps['momentum'])}, Adam "
        f"{_text(steps['Adam'])}; plain descent with tanh takes {_text(steps['descent, tanh'])}, "
        f"with layer norms {_text(steps['descent, layer norms'])}. Steps that do not shrink with "
        "the gradient help, and so do gradients that do not shrink."
    )
    return Conclusion(verdict, words, tuple(effects))


def _steps(found: Sequence[Found], name: str) -> float:
    return median(one[name]["steps"] or math.inf for one in found)


def _text(steps: float) -> str:
    return f"{steps:,.0f}" if math.isfinite(steps) else f"more than {STEPS:,}"


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot the losses until the plateau is left."""
    made, panels = style.figure(1, 2, size=(5.4, 3.8), theme=theme)
    for colour, name in zip(SERIES, CASES, strict=False):
        panel = panels[0 if CASES[name][0] == "sigmoid" else 1]
        for k, one in enumerate(found):
            losses = _smooth(one[name]["losses"])
            panel.plot(
                range(1, len(losses) + 1),
                losses,
                color=colour,
                lw=1.3,
                alpha=0.8,
                label=name if k == 0 else None,
            )
    for panel in panels:
        panel.axhline(HALF, color=theme.muted, lw=0.8, ls=(0, (4, 3)), zorder=0)
        panel.set(
            xscale="log",
            xlim=(8, STEPS * 1.1),
            ylim=(0.9, 2.9),
            xlabel="steps",
            ylabel="loss (mean of 20 batches)",
        )
    style.legend(panels[0], theme, loc="lower left", bbox_to_anchor=(0.0, 0.14))
    style.legend(panels[1], theme, loc="upper right")
    style.title(panels[0], "Sigmoids, by optimizer", theme)
    style.title(panels[1], "Plain descent, by activation and norm", theme)
    return made


def _smooth(losses: Sequence[float]) -> list[float]:
    return [fmean(losses[max(0, k + 1 - WINDOW) : k + 1]) for k in range(len(losses))]
