"""All minima of wide networks are about equal.

Nets with one hidden layer of 4 to 512 ReLU units learn the digits (AdamW, 3e-3, a cosine schedule,
600 steps of 64). Each seed trains two nets, from different initial weights and with different data
orders. The experiment measures how much the test losses of the runs differ.

To test whether both nets are in the same minimum, the training loss is evaluated on the straight
line between them, and again after the units of one net are permuted to match those of the other, by
the correlation of their outputs (a linear assignment). The barrier is the largest increase of the
loss above the line between both ends.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from statistics import fmean, median, pstdev
from typing import Any

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import Split, digits

SOURCE = (
    "Choromanska et al. 2015, The Loss Surfaces of Multilayer Networks, arXiv:1412.0233; Entezari "
    "et al. 2022, arXiv:2110.06296; Ainsworth et al. 2023, Git Re-Basin, arXiv:2209.04836"
)
WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512)
STEPS, POINTS = 600, 21
NONE = 0.1
"""Barrier that counts as none, against the 2.3 of guessing."""


def measure(seed: int) -> Found:
    """Measure by width the test results of two nets, and the losses between them."""
    data = digits(0)
    return {str(width): _pair(width, data, seed) for width in WIDTHS}


def _pair(width: int, data: Split, seed: int) -> Found:
    first, second = (_trained(width, data, 2 * seed + k) for k in range(2))
    matched = match(first, second, data.x)
    with torch.no_grad():
        outputs = [net(data.test_x) for net in (first, second)]
    return {
        "losses": [float(F.cross_entropy(o, data.test_y)) for o in outputs],
        "right": [float((o.argmax(1) == data.test_y).float().mean()) for o in outputs],
        "straight": way(first, second, data),
        "matched": way(first, matched, data),
    }


def _trained(width: int, data: Split, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    adamw = {"name": "adamw", "lr": 3e-3}
    descend(
        net,
        F.cross_entropy,
        data.x,
        data.y,
        adamw,
        STEPS,
        batch_size=64,
        schedule="cosine",
        seed=seed,
    )
    return net


@torch.no_grad()
def match(first: nn.Sequential, second: nn.Sequential, x: Tensor) -> nn.Sequential:
    """Permute the hidden units of the second net to match the first."""
    one, other = (F.relu(net[0](x)) for net in (first, second))
    alike = _standard(one).T @ _standard(other)
    _, order = linear_sum_assignment(alike.numpy(), maximize=True)
    found, state = copy.deepcopy(second), second.state_dict()
    found.load_state_dict(
        {
            "0.weight": state["0.weight"][order],
            "0.bias": state["0.bias"][order],
            "2.weight": state["2.weight"][:, order],
            "2.bias": state["2.bias"],
        }
    )
    return found


def _standard(outputs: Tensor) -> Tensor:
    """Normalise the outputs of each unit to mean 0 and norm 1."""
    return F.normalize(outputs - outputs.mean(0), dim=0)


@torch.no_grad()
def way(first: nn.Sequential, second: nn.Sequential, data: Split) -> list[float]:
    """Return training losses on the straight line from one net to the other."""
    between = copy.deepcopy(first)
    one, other, losses = first.state_dict(), second.state_dict(), []
    for part in torch.linspace(0, 1, POINTS):
        between.load_state_dict({k: torch.lerp(one[k], other[k], part) for k in one})
        losses.append(float(F.cross_entropy(between(data.x), data.y)))
    return losses


def barrier(losses: Sequence[float]) -> float:
    """Return the largest increase of the loss over the interpolation of its ends."""
    last = len(losses) - 1
    line = [losses[0] + (losses[-1] - losses[0]) * k / last for k in range(len(losses))]
    return max(loss - level for loss, level in zip(losses, line, strict=True))


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if wide nets differ much less than narrow ones and lie in one valley unmatched.

    Under conditions, if only once their units are matched.
    """
    effects = []
    for width in (WIDTHS[0], WIDTHS[3], WIDTHS[-1]):
        pairs = [one[str(width)] for one in found]
        name = f"{width} units"
        effects += [
            effect(f"test loss, {name}", [v for p in pairs for v in p["losses"]]),
            effect(f"barrier, {name}", [barrier(p["straight"]) for p in pairs]),
            effect(f"barrier after matching, {name}", [barrier(p["matched"]) for p in pairs]),
        ]
    narrow, wide = _spread(found, WIDTHS[0]), _spread(found, WIDTHS[-1])
    straight, matched = effects[-2].middle, effects[-1].middle
    if wide > narrow / 3 or matched > NONE:
        verdict = ClaimVerdict.NOT_HERE
    else:
        verdict = ClaimVerdict.HOLDS if straight <= NONE else ClaimVerdict.CONDITIONS
    words = (
        f"The standard deviation of the test loss over the runs is {wide:.2g} with {WIDTHS[-1]} "
        f"units and {narrow:.2g} with {WIDTHS[0]} ({_share(found, WIDTHS[-1]):.1%} and "
        f"{_share(found, WIDTHS[0]):.1%} of the loss). On the straight line between two wide nets, "
        f"the loss increases by {straight:.2g}; after matching their units, by {matched:.2g}."
    )
    return Conclusion(verdict, words, tuple(effects))


def _spread(found: Sequence[Found], width: int) -> float:
    """Return the standard deviation of the test losses."""
    return pstdev(float(v) for one in found for v in one[str(width)]["losses"])


def _share(found: Sequence[Found], width: int) -> float:
    """Return the standard deviation of the test losses divided by their mean."""
    mean = fmean(float(v) for one in found for v in one[str(width)]["losses"])
    return _spread(found, width) / mean


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot losses and barriers by width, and the losses between two wide nets."""
    made, panels = style.figure(1, 3, size=(4.3, 3.7), theme=theme)
    for width in WIDTHS:
        losses = [v for one in found for v in one[str(width)]["losses"]]
        panels[0].plot([width] * len(losses), losses, "o", color=SERIES[0], ms=4, alpha=0.6)
    for colour, key, label in (
        (SERIES[1], "straight", "as they are"),
        (SERIES[2], "matched", "units matched"),
    ):
        lines = [[max(1e-4, barrier(one[str(w)][key])) for w in WIDTHS] for one in found]
        for line in lines:
            panels[1].plot(WIDTHS, line, color=colour, lw=0.8, alpha=0.4)
        middle = [median(values) for values in zip(*lines, strict=True)]
        panels[1].plot(WIDTHS, middle, "o-", color=colour, lw=1.8, ms=4, label=label)
        for k, one in enumerate(found):
            losses = one[str(WIDTHS[-1])][key]
            places = [p / (len(losses) - 1) for p in range(len(losses))]
            panels[2].plot(
                places, losses, color=colour, lw=1.3, alpha=0.8, label=label if k == 0 else None
            )
    for panel in panels[:2]:
        panel.set(xscale="log", xticks=WIDTHS[::2], xticklabels=WIDTHS[::2], xlabel="hidden units")
        panel.minorticks_off()
    panels[0].set(ylabel="test loss", yscale="log")
    panels[1].set(ylabel="barrier of the training loss")
    panels[2].set(xlabel="position on the line", ylabel="training loss")
    style.title(panels[0], "Test loss, a point per run", theme)
    style.title(panels[1], "Barriers between two nets", theme)
    style.title(panels[2], f"Between two nets of {WIDTHS[-1]} units", theme)
    style.legend(panels[1], theme)
    style.legend(panels[2], theme)
    return made
