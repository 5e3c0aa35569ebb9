"""Small batches and SAM end in flatter minima, and flatter minima generalize better.

A net with 64 ReLU units learns the digits in 1,000 steps of SGD with momentum 0.9 and a cosine
schedule, in batches of 512 or of 16, and with SAM (radius 0.2) in batches of 512. Labels are
smoothed by 0.1, so that the loss has minima at a finite distance. The learning rate is the best of
0.1, 0.3, 1 and 3 by the loss on one half of the test images; accuracies are those of the other
half.

Sharpness is the largest eigenvalue λ of the Hessian of the training loss. As a counterexample, one
layer of the first net is multiplied by 5 and the next divided by 5, which does not change the
output of a ReLU net. The adaptive sharpness, the largest eigenvalue for changes relative to the
size of the weights, is listed for comparison (Kwon et al. 2021).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.curvature.curvature_report import adaptive_sharpness
from gdlightning.curvature.hessian import Hessian
from gdlightning.curvature.lanczos import extremes
from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, count, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import Split, digits
from gdlightning.study.statistics import paired_p

SOURCE = (
    "Keskar et al. 2017, arXiv:1609.04836; Foret et al. 2021, arXiv:2010.01412; against it Dinh et "
    "al. 2017, Sharp Minima Can Generalize for Deep Nets, arXiv:1703.04933"
)
STEPS, RATES, FACTOR = 1000, (0.1, 0.3, 1.0, 3.0), 5.0
SGD: dict[str, Any] = {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "batches of 512": (SGD, 512),
    "batches of 16": (SGD, 16),
    "SAM": ({"name": "sam", "rho": 0.2, "base": SGD}, 512),
}
"""Name → optimizer and batch size."""


def measure(seed: int) -> Found:
    """Measure sharpness and accuracy of each case, and of the rescaled net of the first."""
    data = digits(seed)
    nets = {name: _trained(name, data, seed) for name in CASES}
    found = {name: look(net, data) for name, net in nets.items()}
    found["rescaled"] = look(rescaled(nets["batches of 512"], FACTOR), data)
    return found


def _loss(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target, label_smoothing=0.1)


def _trained(name: str, data: Split, seed: int) -> nn.Sequential:
    """Return the net trained with the best learning rate."""
    optimizer, batch_size = CASES[name]
    half, nets = len(data.test_x) // 2, []
    for lr in RATES:
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        descend(
            net,
            _loss,
            data.x,
            data.y,
            optimizer | {"lr": lr},
            STEPS,
            batch_size=batch_size,
            schedule="cosine",
            seed=seed,
        )
        nets.append(net)
    with torch.no_grad():
        losses = [float(_loss(n(data.test_x[:half]), data.test_y[:half])) for n in nets]
    return nets[min(range(len(nets)), key=lambda k: (math.isnan(losses[k]), losses[k]))]


def rescaled(net: nn.Sequential, factor: float) -> nn.Sequential:
    """Return a net with other weights and the same outputs."""
    found = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in found[0].parameters():
            parameter.mul_(factor)
        found[2].get_parameter("weight").div_(factor)
    return found


def look(net: nn.Sequential, data: Split) -> Found:
    """Measure both sharpnesses, and the accuracy on the second half of the test images."""
    hessian = Hessian(
        lambda _: _loss(net(data.x), data.y), dict(net.named_parameters()), [None], memory=0
    )
    half = len(data.test_x) // 2
    with torch.no_grad():
        right = (net(data.test_x[half:]).argmax(1) == data.test_y[half:]).float().mean()
        loss = float(_loss(net(data.x), data.y))
    return {
        "sharpness": extremes(hessian, steps=50).top[0].value,
        "adaptive": adaptive_sharpness(hessian, steps=50, seen=1.0).value,
        "right": float(right),
        "loss": loss,
    }


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if both are flatter in four of five seeds and more accurate with p < 0.05."""
    flatter, better = {}, {}
    for name in ("batches of 16", "SAM"):
        pairs = [(one[name], one["batches of 512"]) for one in found]
        flatter[name] = [a["sharpness"] < b["sharpness"] for a, b in pairs]
        p = paired_p(*zip(*((a["right"], b["right"]) for a, b in pairs), strict=True))
        better[name] = fmean(a["right"] - b["right"] for a, b in pairs) > 0 and p < 0.05
    flat = all(sum(flags) >= 0.8 * len(flags) for flags in flatter.values())
    verdict = (
        ClaimVerdict.NOT_HERE
        if not flat
        else ClaimVerdict.HOLDS
        if all(better.values())
        else ClaimVerdict.CONDITIONS
    )
    effects = []
    for name in (*CASES, "rescaled"):
        label = name if name != "rescaled" else f"batches of 512, rescaled by {FACTOR:g}"
        effects += [
            effect(f"λ, {label}", [one[name]["sharpness"] for one in found]),
            effect(f"adaptive sharpness, {label}", [one[name]["adaptive"] for one in found]),
            effect(f"test accuracy, {label}", [100 * one[name]["right"] for one in found], "%"),
        ]
    ratio = median(o["rescaled"]["sharpness"] / o["batches of 512"]["sharpness"] for o in found)
    shown = [name for name, told in better.items() if told]
    words = (
        f"The minima of batches of 16 are flatter than those of batches of 512 in "
        f"{count(flatter['batches of 16'])} seeds, those of SAM in {count(flatter['SAM'])}. A "
        f"higher accuracy shows for {' and '.join(shown) if shown else 'neither'}. Rescaling "
        f"layers changes λ {ratio:.3g}-fold without changing the output of the net."
    )
    return Conclusion(verdict, words, tuple(effects))


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot both sharpnesses by case, and accuracy against sharpness."""
    made, panels = style.figure(1, 3, size=(4.3, 3.7), theme=theme)
    names = [*CASES, "rescaled"]
    colours = dict(zip(names, (SERIES[1], SERIES[0], SERIES[2], SERIES[7]), strict=True))
    for panel, key in zip(panels, ("sharpness", "adaptive"), strict=False):
        for one in found:
            panel.plot(range(4), [one[n][key] for n in names], color=theme.rule, lw=0.9, zorder=0)
        for place, name in enumerate(names):
            panel.plot(
                [place] * len(found),
                [one[name][key] for one in found],
                "o",
                ms=5,
                color=colours[name],
                alpha=0.8,
            )
        panel.set(xticks=range(4), xticklabels=["512", "16", "SAM", "512,\nrescaled"])
        panel.set_xlim(-0.4, 3.4)
    ticks = (0.2, 0.5, 1, 2, 5)
    panels[0].set(yscale="log", yticks=ticks, yticklabels=ticks)
    panels[0].minorticks_off()
    panels[0].set_ylabel("largest eigenvalue λ of the Hessian")
    panels[1].set(ylabel="adaptive sharpness", ylim=(0, None))
    for name in CASES:
        points = [(one[name]["sharpness"], 100 * one[name]["right"]) for one in found]
        panels[2].plot(
            *zip(*points, strict=True), "o", ms=5, color=colours[name], alpha=0.8, label=name
        )
    panels[2].set(xlabel="λ", ylabel="test accuracy, %")
    style.title(panels[0], "Sharpness, a line per seed", theme)
    style.title(panels[1], "Adaptive sharpness", theme)
    style.title(panels[2], "Accuracy against sharpness", theme)
    style.legend(panels[2], theme)
    return made
