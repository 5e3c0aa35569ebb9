"""Adam needs decoupled weight decay: AdamW decays all weights equally and generalizes better.

First, weights whose gradients are pure noise, with scales from 0.01 to 100, start at 1 and are
decayed by 0.1 for 2,000 steps at lr 0.001. Decoupled decay leaves (1 − lr·λ)ⁿ = 0.82 of each
weight. Decay as a part of the gradient (L2) is divided by the scale of the gradient, as the rest of
the gradient is.

Then a net of 128 hidden units learns digits from 300 images, 40% of them with a wrong class, and
tumours from 100 rows, 20% of them with the wrong class: 300 full-batch steps of Adam without decay,
of Adam with L2, and of AdamW, with a cosine schedule. Learning rate and decay are those with the
highest accuracy on clean validation rows, from 24 pairs each. The reported test accuracy is that of
a new run with these settings, from other initial weights and on other rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import mean, median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, count, effect
from gdlightning.lab.descent import descend, made
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import Split, digits, tumours
from gdlightning.study.statistics import paired_p, small

SOURCE = "Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101"
SEEDS = 8
METHODS = {"L2": "adam", "AdamW": "adamw"}
SCALES = tuple(10 ** (k / 4) for k in range(-8, 9))
LR, DECAY, STEPS, COPIES = 1e-3, 0.1, 2000, 200
LEFT = (1 - LR * DECAY) ** STEPS
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
DECAYS = {
    "no decay": (0.0,),
    "L2": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "AdamW": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
}
TRAINED = 300


def measure(seed: int) -> Found:
    """Measure the remaining weight by gradient scale, and accuracies on real data."""
    tasks = {"digits": (digits(seed), 300, 0.4), "tumours": (tumours(seed), 100, 0.2)}
    return {
        "left": {name: left(optimizer, seed) for name, optimizer in METHODS.items()},
        "tasks": {task: _tuned(*given, seed) for task, given in tasks.items()},
    }


def left(optimizer: str, seed: int) -> list[float]:
    """Return the mean of weights that start at 1, for each scale of their noise gradients."""
    net = nn.Linear(COPIES, len(SCALES), bias=False)
    nn.init.ones_(net.weight)
    stepper = made(net, {"name": optimizer, "lr": LR, "weight_decay": DECAY})
    random = torch.Generator().manual_seed(seed)
    scales = torch.tensor(SCALES)[:, None]
    for _ in range(STEPS):
        net.weight.grad = scales * torch.randn(net.weight.shape, generator=random)
        stepper.step()
    return [float(value) for value in net.weight.detach().mean(1)]


def theory(optimizer: str, scale: float) -> float:
    """Return the remaining weight if the second moment equals its expectation."""
    weight = 1.0
    for _ in range(STEPS):
        size = math.hypot(scale, DECAY * weight) if optimizer == "adam" else 1.0
        weight -= LR * DECAY * weight / size
    return weight


def _tuned(data: Split, rows: int, wrong: float, seed: int) -> Found:
    """Tune learning rate and decay of each optimizer, and test a new run with them."""
    y, last = spoilt(data.y, wrong, seed), 2 * rows
    found = {}
    for name, decays in DECAYS.items():
        tried = {}
        for lr, decay in product(RATES, decays):
            adam = {"name": METHODS.get(name, "adam"), "lr": lr, "weight_decay": decay}
            net = _trained(adam, data.x[:rows], y[:rows], seed)
            tried[lr, decay] = _judged(net, data.x[last:], data.y[last:])
        lr, decay = max(tried, key=tried.__getitem__)
        adam = {"name": METHODS.get(name, "adam"), "lr": lr, "weight_decay": decay}
        net = _trained(adam, data.x[rows:last], y[rows:last], seed + 1000)
        right = _judged(net, data.test_x, data.test_y)[0]
        found[name] = {"lr": lr, "decay": decay, "accuracy": right}
    return found


def spoilt(y: Tensor, wrong: float, seed: int) -> Tensor:
    """Replace a fraction of the classes by wrong ones."""
    random, classes = torch.Generator().manual_seed(seed), int(y.max()) + 1
    chosen = torch.rand(len(y), generator=random) < wrong
    others = torch.randint(1, classes, y.shape, generator=random)
    return torch.where(chosen, (y + others) % classes, y)


@torch.no_grad()
def _judged(net: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Return the accuracy, and the negative loss to break ties."""
    output = net(x)
    return int((output.argmax(1) == y).sum()) / len(y), -float(F.cross_entropy(output, y))


def _trained(adam: Mapping[str, Any], x: Tensor, y: Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Linear(128, 10))
    descend(net, F.cross_entropy, x, y, adam, TRAINED, schedule="cosine")
    return net


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if only AdamW decays equally, and is significantly more accurate on each task.

    Under conditions, if it decays alike, but the rest does not show.
    """
    effects = [
        effect(
            f"remaining weight, {name}, gradients of scale {scale:g}",
            [one["left"][name][SCALES.index(scale)] for one in found],
            expected=f"{theory(optimizer, scale):.2f}",
        )
        for name, optimizer in METHODS.items()
        for scale in (0.1, 10.0)
    ]
    gains, better = [], []
    for task in found[0]["tasks"]:
        right = {name: _right(found, task, name) for name in DECAYS}
        effects += [effect(f"accuracy on {task}, {name}", v, "%") for name, v in right.items()]
        gain = [b - a for a, b in zip(right["L2"], right["AdamW"], strict=True)]
        effects.append(effect(f"gain of AdamW over L2 on {task}", gain, "points"))
        p = paired_p(right["L2"], right["AdamW"])
        better.append(p < 0.05 and mean(gain) > 0)
        gains.append(f"{mean(gain):+.1f} points on {task} (p {small(p)})")
    l2, adamw = (_middle(found, name) for name in METHODS)
    alike = max(abs(value - LEFT) for value in adamw) < 0.03 and max(l2) - min(l2) > 0.3
    verdict = (
        ClaimVerdict.HOLDS
        if alike and all(better)
        else ClaimVerdict.CONDITIONS
        if alike
        else ClaimVerdict.NOT_HERE
    )
    words = (
        f"AdamW leaves {min(adamw):.3f} to {max(adamw):.3f} of a weight, for all scales of the "
        f"gradient ({LEFT:.3f} in theory); Adam with L2 leaves {min(l2):.2f} to {max(l2):.2f}. "
        f"With tuned learning rate and decay, AdamW's accuracy differs from that of L2 by "
        f"{' and '.join(gains)}; a gain shows on {count(better)} tasks (p < 0.05)."
    )
    return Conclusion(verdict, words, tuple(effects))


def _right(found: Sequence[Found], task: str, name: str) -> list[float]:
    return [100 * one["tasks"][task][name]["accuracy"] for one in found]


def _middle(found: Sequence[Found], name: str) -> list[float]:
    """Return the median remaining weight by gradient scale."""
    return [median(values) for values in zip(*(one["left"][name] for one in found), strict=True)]


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot the remaining weight by gradient scale, and accuracies with a line per seed."""
    made_, panels = style.figure(1, 3, size=(4.4, 3.8), theme=theme)
    colours = dict(zip(METHODS, (SERIES[1], SERIES[0]), strict=True))
    for name, optimizer in METHODS.items():
        colour = colours[name]
        expected = [theory(optimizer, scale) for scale in SCALES]
        panels[0].plot(SCALES, expected, color=colour, lw=1.2, alpha=0.7)
        panels[0].plot(
            SCALES,
            _middle(found, name),
            "o",
            color=colour,
            ms=4.5,
            label="AdamW" if name == "AdamW" else "Adam with L2",
        )
    panels[0].plot([], [], color=theme.muted, lw=1.2, label="theory")
    panels[0].set(
        xscale="log",
        xlabel="scale of the gradients",
        ylabel="remaining fraction of a weight",
        ylim=(-0.03, 1.05),
    )
    style.title(panels[0], "Decay by gradient scale", theme)
    style.legend(panels[0], theme, loc="lower right")
    for panel, task in zip(panels[1:], found[0]["tasks"], strict=True):
        columns = [_right(found, task, name) for name in DECAYS]
        for line in zip(*columns, strict=True):
            panel.plot(range(3), line, "o-", color=theme.muted, lw=0.8, ms=3, alpha=0.5)
        for place, (name, column) in enumerate(zip(DECAYS, columns, strict=True)):
            colour = colours.get(name, theme.ink)
            panel.hlines(mean(column), place - 0.2, place + 0.2, color=colour, lw=3, zorder=3)
            panel.annotate(
                f"{mean(column):.1f}",
                (place + 0.2, mean(column)),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9.5,
                color=colour,
                bbox={"fc": theme.paper, "ec": "none", "pad": 0.8},
                zorder=4,
            )
        panel.set_xticks(range(3), list(DECAYS))
        panel.set(xlim=(-0.4, 2.6), ylabel="test accuracy, %")
        style.title(panel, f"{task.capitalize()}: a line per seed, bars are means", theme)
    return made_
