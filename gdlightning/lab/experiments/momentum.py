"""Momentum crosses ravines in fewer steps than plain descent, Nesterov's in the fewest.

The test functions are quadratics in 20 dimensions with curvatures from 1/κ to 1, evenly spaced on a
logarithmic scale. The experiment counts the steps from a random start until the distance to the
minimum stays below one hundredth of the initial distance, at the best of 60 learning rates: with
the usual momentum of 0.9, and with the best of ten momenta. In one dimension, the largest learning
rate that does not diverge is determined.

Then a net with two tanh layers of 32 units learns the digits in batches of 64 with momentum 0.9.
The learning rate with the fewest steps to a training loss of 0.1 is selected with one seed, from
four per decade. The number of steps, and the accuracy after 300 steps, are those of another seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect, shown
from gdlightning.lab.descent import descend, made
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import Split, digits

SOURCE = (
    "Polyak 1964, Some methods of speeding up the convergence of iteration methods; Nesterov 1983; "
    "Sutskever et al. 2013, On the importance of initialization and momentum in deep learning"
)
CONDITIONS, RAVINE = (2, 5, 10, 20, 50, 100, 200, 500), 100
RATES = torch.logspace(-2, 0.62, 60, dtype=torch.float64)
MOMENTA = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96)
METHODS: Mapping[str, Mapping[str, Any]] = {
    "plain": {"name": "gd"},
    "heavy ball": {"name": "momentum", "momentum": 0.9},
    "Nesterov": {"name": "sgd", "momentum": 0.9},
}
LIMITS = {"plain": 2.0, "heavy ball": 3.8, "Nesterov": 3.8 / 2.8}
"""2, 2 (1 + μ) and 2 (1 + μ) / (1 + 2 μ), over the curvature."""
STEPS, TARGET = 300, 0.1
GRID = tuple(10 ** (k / 4) for k in range(-5, 1))
"""Learning rates on the digits; plain descent's are ten times these."""


def measure(seed: int) -> Found:
    """Measure steps on quadratics and on digits, and the stability limits."""
    found: Found = {"limits": {name: limit(one) for name, one in METHODS.items()}}
    found["by rate"] = {name: to_target(one, RAVINE, seed) for name, one in METHODS.items()}
    found["steps"] = {
        name: [_best(one, k, seed) for k in CONDITIONS] for name, one in METHODS.items()
    }
    for name in ("heavy ball", "Nesterov"):
        found["steps"][f"{name}, best momentum"] = [
            min((_best({**METHODS[name], "momentum": m}, k, seed) for m in MOMENTA), key=_number)
            for k in CONDITIONS
        ]
    data = digits(seed)
    found["digits"] = {name: _digits(one, data, seed) for name, one in METHODS.items()}
    return found


class _Bowls(nn.Module):
    """Parallel quadratics: a step at lr η and curvature λ equals one at lr 1 and curvature η λ."""

    def __init__(self, curvatures: Tensor, start: Tensor) -> None:
        super().__init__()
        self.curvatures = curvatures
        self.place = nn.Parameter(start.expand_as(curvatures).clone())

    def turn(self) -> None:
        self.place.grad = self.curvatures * self.place.detach()


def to_target(optimizer: Mapping[str, Any], condition: float, seed: int) -> list[int | None]:
    """Return the steps until the distance to the minimum stays small, by learning rate."""
    curvatures = torch.logspace(-math.log10(condition), 0, 20, dtype=torch.float64)
    random = torch.Generator().manual_seed(seed)
    bowls = _Bowls(RATES[:, None] * curvatures, torch.randn(20, generator=random).double())
    stepper = made(bowls, {**optimizer, "lr": 1.0})
    first = bowls.place.detach().norm(dim=1)
    last, steps = torch.zeros(len(RATES), dtype=torch.long), round(4 * condition) + 200
    for step in range(1, steps + 1):
        bowls.turn()
        stepper.step()
        distance = bowls.place.detach().norm(dim=1)
        last[~(distance <= first / 100)] = step  # also if it is NaN
    return [k + 1 if k < steps else None for k in last.tolist()]


def limit(optimizer: Mapping[str, Any], steps: int = 2000) -> float:
    """Return the largest stable learning rate times curvature, in steps of 0.002."""
    products = torch.arange(0.001, 4.2, 0.002, dtype=torch.float64)[:, None]
    bowls = _Bowls(products, torch.ones(1, dtype=torch.float64))
    stepper = made(bowls, {**optimizer, "lr": 1.0})
    for _ in range(steps):
        bowls.turn()
        stepper.step()
    return float(products[bowls.place.detach().abs() <= 1].max()) + 0.001


def _number(steps: int | None) -> float:
    return math.inf if steps is None else steps


def _best(optimizer: Mapping[str, Any], condition: float, seed: int) -> int | None:
    return min(to_target(optimizer, condition, seed), key=_number)


def _digits(optimizer: Mapping[str, Any], data: Split, seed: int) -> Found:
    rates = [lr * (10 if optimizer["name"] == "gd" else 1) for lr in GRID]
    tried = [_trained({**optimizer, "lr": lr}, data, seed)["steps"] for lr in rates]
    lr = rates[min(range(len(rates)), key=lambda k: _number(tried[k]))]
    return {"lr": lr, **_trained({**optimizer, "lr": lr}, data, seed + 1000, STEPS)}


def _trained(optimizer: Mapping[str, Any], data: Split, seed: int, least: int = 0) -> Found:
    """Return the steps to the target, the training loss by step, and the final accuracy."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10)
    )
    losses: list[float] = []

    @torch.no_grad()
    def look(step: int, _: float) -> bool:
        losses.append(float(F.cross_entropy(net(data.x), data.y)))
        return step >= least and losses[-1] <= TARGET

    descend(
        net, F.cross_entropy, data.x, data.y, optimizer, STEPS, batch_size=64, seed=seed, after=look
    )
    there = [k + 1 for k, loss in enumerate(losses) if loss <= TARGET]
    with torch.no_grad():
        right = float((net(data.test_x).argmax(1) == data.test_y).float().mean())
    return {"steps": there[0] if there else None, "losses": losses, "accuracy": right}


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if the order is plain, heavy ball, Nesterov in the ravine and on the digits.

    Under conditions, if heavy ball is at least sooner than plain descent in the ravine.
    """
    place = CONDITIONS.index(RAVINE)
    ravine = {name: [one["steps"][name][place] for one in found] for name in found[0]["steps"]}
    images = {name: [one["digits"][name]["steps"] for one in found] for name in METHODS}
    right = {name: [100 * one["digits"][name]["accuracy"] for one in found] for name in METHODS}
    limits = {name: [one["limits"][name] for one in found] for name in METHODS}
    effects = [effect(f"steps at condition {RAVINE}, {name}", v) for name, v in ravine.items()]
    effects += [
        effect(f"largest stable lr times curvature, {name}", v, expected=f"{LIMITS[name]:.3g}")
        for name, v in limits.items()
    ]
    effects += [effect(f"steps on digits, {name}", v) for name, v in images.items()]
    effects += [effect(f"accuracy on digits, {name}", v, "%") for name, v in right.items()]
    slow, ball, ahead = METHODS
    whole = all(
        _sooner(steps[ball], steps[slow]) and _sooner(steps[ahead], steps[ball])
        for steps in (ravine, images)
    )
    partly = ClaimVerdict.CONDITIONS if _sooner(ravine[ball], ravine[slow]) else None
    verdict = ClaimVerdict.HOLDS if whole else partly or ClaimVerdict.NOT_HERE
    spread = max(map(median, right.values())) - min(map(median, right.values()))
    words = (
        f"Steps at condition {RAVINE}: {_middles(ravine, METHODS)}; with the best momentum, "
        f"{_middles(ravine, list(ravine)[3:])}. {_worth(found)} Steps on digits: "
        f"{_middles(images, METHODS)}; the accuracies differ by at most {spread:.1f} points. "
        f"Nesterov's largest stable learning rate is "
        f"{median(limits[ahead]) / median(limits[ball]):.2f} times that of heavy ball."
    )
    return Conclusion(verdict, words, tuple(effects))


def _sooner(first: Sequence[int | None], second: Sequence[int | None]) -> bool:
    """Return whether it holds in all seeds except at most one of five."""
    ahead = [_number(a) < _number(b) for a, b in zip(first, second, strict=True)]
    return sum(ahead) >= 0.8 * len(ahead)


def _middles(steps: Mapping[str, Sequence[int | None]], names: Iterable[str]) -> str:
    """Format the median steps by name, without 'best momentum'."""
    return ", ".join(f"{n.split(',')[0]} {shown(effect('', steps[n]).middle)}" for n in names)


def _worth(found: Sequence[Found]) -> str:
    """Report the condition number from which heavy ball is faster than plain descent."""
    for k, condition in enumerate(CONDITIONS):
        plain, ball = ([one["steps"][name][k] for one in found] for name in ("plain", "heavy ball"))
        if _sooner(ball, plain):
            return f"At momentum 0.9, heavy ball is sooner from a condition of {condition} on."
    return "At momentum 0.9, heavy ball is sooner at no condition."


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot steps by condition and by learning rate, and the loss on digits by step."""
    made, panels = style.figure(1, 3, size=(4.6, 3.9), theme=theme)
    colours = dict(zip(METHODS, SERIES, strict=False))
    for name, colour in colours.items():
        for k, one in enumerate(found):
            label, line = (name if k == 0 else None), {"color": colour, "lw": 1.1, "alpha": 0.75}
            panels[0].plot(CONDITIONS, one["steps"][name], "o-", ms=3, label=label, **line)
            tuned = one["steps"].get(f"{name}, best momentum")
            if tuned:
                panels[0].plot(CONDITIONS, tuned, ls=(0, (3, 2)), **line)
            by_rate = [_number(v) for v in one["by rate"][name]]
            panels[1].plot(RATES, by_rate, **line)
            losses = one["digits"][name]["losses"][:120]
            panels[2].plot(range(1, len(losses) + 1), losses, label=label, **line)
        panels[1].axvline(LIMITS[name], color=colour, lw=0.9, ls=(0, (1, 2)), zorder=0)
    panels[0].plot([], [], color=theme.muted, ls=(0, (3, 2)), label="with the best momentum")
    panels[2].axhline(TARGET, color=theme.muted, lw=0.8, ls=(0, (4, 3)), zorder=0)
    panels[0].set(xscale="log", yscale="log", xlabel="condition number", ylabel="steps")
    panels[1].set(
        xscale="log",
        yscale="log",
        xlabel="learning rate × largest curvature",
        ylabel=f"steps at condition number {RAVINE}",
    )
    panels[1].set_yticks([50, 100, 200, 500], ["50", "100", "200", "500"])
    panels[1].minorticks_off()
    panels[2].set(yscale="log", xlabel="steps", ylabel="training loss")
    style.title(panels[0], "Steps to 1/100 of the distance", theme)
    style.title(panels[1], "Learning rates (dotted: stability limits)", theme)
    style.title(panels[2], "A net on digits, in batches of 64", theme)
    style.legend(panels[0], theme)
    style.legend(panels[2], theme)
    return made
