"""A learning rate can be too small, good or too large, and common values are good.

Five small tasks (breast tumours and digits with two dense layers, digits with a convolution, digits
read row by row with a GRU, a curve with two dense layers) are trained for 200 steps with batches of
32: by SGD with momentum 0.9 at learning rates from 1e-4 to 10, and by Adam from 1e-5 to 1, in steps
of half a decade.

A learning rate is good if the final loss over all training rows exceeds the best one by at most a
tenth of the best one's decrease. Smaller learning rates are too small, larger ones too large.
Common values are 0.01 to 0.1 for SGD and 1e-4 to 1e-3 for Adam. Longer runs of larger nets need
smaller learning rates than these short runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import SERIES, Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.descent import Loss, descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.samples import digits, tumours

SOURCE = "Bengio 2012, Practical Recommendations for Gradient-Based Training, arXiv:1206.5533"
STEPS, BATCH, GOOD = 200, 32, 0.1
GRIDS: dict[str, tuple[dict[str, Any], list[float], tuple[float, float]]] = {
    "SGD": (
        {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
        [10 ** (k / 2) for k in range(-8, 3)],
        (0.01, 0.1),
    ),
    "Adam": ({"name": "adam"}, [10 ** (k / 2) for k in range(-10, 1)], (1e-4, 1e-3)),
}
"""Name → optimizer, rates, and the usual range."""


class Rows(nn.Module):
    """GRU over the eight rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(8, 24, batch_first=True), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits from the state after the last row."""
        logits: Tensor = self.head(self.gru(x.view(-1, 8, 8))[0][:, -1])
        return logits


def _dense(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, outputs)
    )


def _convolution() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    )


def _tasks(seed: int) -> dict[str, tuple[Callable[[], nn.Module], Loss, Tensor, Tensor]]:
    """Return net, loss, inputs and targets by task."""
    table, images = tumours(seed), digits(seed)
    x = torch.rand(1000, 1, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    entropy = F.cross_entropy
    return {
        "tumours": (lambda: _dense(30, 2), entropy, table.x, table.y),
        "digits": (lambda: _dense(64, 10), entropy, images.x, images.y),
        "digits, convolution": (_convolution, entropy, images.x, images.y),
        "digits, GRU": (Rows, entropy, images.x, images.y),
        "curve": (lambda: _dense(1, 1), F.mse_loss, x, torch.sin(6 * x)),
    }


def measure(seed: int) -> Found:
    """Measure the initial loss, and the final loss by learning rate."""
    found: Found = {}
    for task, (net, loss, x, y) in _tasks(seed).items():
        for name, (optimizer, rates, _) in GRIDS.items():
            ends = [_end(net, loss, x, y, optimizer | {"lr": lr}, seed) for lr in rates]
            torch.manual_seed(seed)
            found[f"{task}, {name}"] = {"start": _whole(net(), loss, x, y), "ends": ends}
    return found


def _end(
    net: Callable[[], nn.Module],
    loss: Loss,
    x: Tensor,
    y: Tensor,
    optimizer: dict[str, Any],
    seed: int,
) -> float | None:
    torch.manual_seed(seed)
    trained = net()
    descend(trained, loss, x, y, optimizer, STEPS, batch_size=BATCH, seed=seed)
    end = _whole(trained, loss, x, y)
    return end if math.isfinite(end) else None


@torch.no_grad()
def _whole(net: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> float:
    return float(loss(net(x), y))


def good(case: Found) -> list[bool]:
    """Return which learning rates are good."""
    ends = [math.inf if e is None else e for e in case["ends"]]
    limit = min(ends) + GOOD * (case["start"] - min(ends))
    return [end <= limit for end in ends]


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if all three kinds occur in every case and the best is common in nine of ten."""
    effects, three, usual = [], [], []
    for case in found[0]:
        name = case.rsplit(", ", 1)[1]
        _, rates, (low, high) = GRIDS[name]
        kinds = [good(one[case]) for one in found]
        best = [_best(one[case], rates) for one in found]
        three += [k.index(True) > 0 and not k[-1] for k in kinds]
        usual += [low / 1.01 <= b <= high * 1.01 for b in best]
        effects.append(effect(f"best learning rate, {case}", best, expected=f"{low:g} to {high:g}"))
        effects.append(effect(f"good range, {case}", [sum(k) / 2 for k in kinds], "decades"))
    all_three, as_usual = sum(three) / len(three), sum(usual) / len(usual)
    verdict = (
        ClaimVerdict.NOT_HERE
        if all_three < 0.9
        else ClaimVerdict.HOLDS
        if as_usual > 0.9
        else ClaimVerdict.CONDITIONS
    )
    width = median(e.middle for e in effects[1::2])
    words = (
        f"In {sum(three)} of {len(three)} cases, some learning rates are too small and some too "
        f"large; the good range is {width:.2g} decades wide. The best learning rate is in the "
        f"common range in {sum(usual)} of {len(usual)} cases."
    )
    return Conclusion(verdict, words, tuple(effects))


def _best(case: Found, rates: Sequence[float]) -> float:
    ends = [math.inf if e is None else e for e in case["ends"]]
    return rates[ends.index(min(ends))]


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot the remaining loss by learning rate, with the common range shaded."""
    made, panels = style.figure(1, 2, size=(5.4, 3.8), theme=theme)
    for panel, (name, (_, rates, (low, high))) in zip(panels, GRIDS.items(), strict=True):
        panel.axvspan(low, high, color=theme.rule, alpha=0.45, lw=0, zorder=0)
        panel.annotate(
            "usual", ((low * high) ** 0.5, 1.52), ha="center", fontsize=8.5, color=theme.muted
        )
        cases = [case for case in found[0] if case.endswith(f", {name}")]
        for colour, case in zip(SERIES, cases, strict=False):
            lines = [
                [2.0 if e is None else min(2.0, e / one[case]["start"]) for e in one[case]["ends"]]
                for one in found
            ]
            for line in lines:
                panel.plot(rates, line, color=colour, lw=0.7, alpha=0.3)
            middle = [median(values) for values in zip(*lines, strict=True)]
            panel.plot(rates, middle, color=colour, lw=2, label=case.rsplit(", ", 1)[0])
        panel.set(
            xscale="log",
            xlabel="learning rate",
            ylim=(0, 1.6),
            ylabel="final loss / initial loss",
        )
        style.title(panel, f"{name} (shaded: common values)", theme)
    style.legend(panels[1], theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return made
