"""For vision from scratch, SGD with momentum makes fewer errors than Adam or AdamW.

A net with three convolutions of 16, 32 and 32 channels and a linear layer learns 1,011 handwritten
digits of 8 × 8 pixels from random weights, in 300 steps of 64 with a cosine schedule: by SGD with
momentum 0.9 and weight decay 0.0005, by Adam, and by AdamW with weight decay 0.1. Each learning
rate is selected by the loss on 337 digits, and a new run with it is tested on 449 others.

There are eight seeds, each with its own split, initial weights and data order. Differences are
tested over the seeds with Student's paired test and Holm's correction for the three pairs;
intervals are 95% confidence intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.drawing import style
from gdlightning.drawing.style import Theme
from gdlightning.lab.conclusion import ClaimVerdict, Conclusion, effect
from gdlightning.lab.descent import descend
from gdlightning.lab.experiment import Found
from gdlightning.lab.panels import COLOURS, curves, dots
from gdlightning.lab.samples import digits
from gdlightning.lab.tuning import Candidate, better, differences, grid, reported, tuned
from gdlightning.study.statistics import interval

SOURCE = (
    "Wilson et al. 2017, The Marginal Value of Adaptive Gradient Methods in Machine Learning, "
    "arXiv:1705.08292"
)
SEEDS = 8
STEPS, BATCH = 300, 64
MOMENTUM = "SGD with momentum"
CANDIDATES = {
    MOMENTUM: Candidate({"name": "momentum", "weight_decay": 5e-4}, grid(0.02, 1)),
    "Adam": Candidate({"name": "adam"}, grid(0.002, 0.1)),
    "AdamW": Candidate({"name": "adamw", "weight_decay": 0.1}, grid(0.002, 0.1)),
}
OTHERS = ("Adam", "AdamW")
MEASURES = {"test": "test loss", "error": "test error"}


def measure(seed: int) -> Found:
    """Measure loss by learning rate, and test loss and error of the tuned runs."""
    data = digits(seed)
    held = len(data.x) // 4
    (x, own_x), (y, own_y) = ((a[:held], a[held:]) for a in (data.x, data.y))

    def train(optimizer: dict[str, Any], seed: int) -> nn.Module:
        torch.manual_seed(seed)
        net = convolutions()
        descend(
            net,
            F.cross_entropy,
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
    def held_out(net: nn.Module, x: Tensor, y: Tensor) -> Found:
        outputs = net(x)
        wrong = (outputs.argmax(1) != y).float().mean()
        return {"test": float(F.cross_entropy(outputs, y)), "error": 100 * float(wrong)}

    return tuned(
        CANDIDATES,
        train,
        lambda net: held_out(net, x, y)["test"],
        lambda net: held_out(net, data.test_x, data.test_y),
        seed,
    )


def convolutions() -> nn.Sequential:
    """Map 64 pixels to 10 logits."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def conclude(found: Sequence[Found]) -> Conclusion:
    """Hold if momentum makes significantly fewer errors than both; conditionally if than one."""
    scores = {key: reported(found, key) for key in MEASURES}
    beaten = [name for name in OTHERS if better(scores["error"], MOMENTUM, name)]
    if len(beaten) == len(OTHERS):
        verdict = ClaimVerdict.HOLDS
    else:
        verdict = ClaimVerdict.CONDITIONS if beaten else ClaimVerdict.NOT_HERE
    words = "Test error in percent. " + " ".join(
        one.words for pair, one in differences(scores["error"]).items() if MOMENTUM in pair
    )
    effects = [
        effect(f"{label}, {name}", values, "%" if key == "error" else "")
        for key, label in MEASURES.items()
        for name, values in scores[key].items()
    ]
    return Conclusion(verdict, words, tuple(effects))


def draw(found: Sequence[Found], theme: Theme) -> Any:
    """Plot loss by learning rate, test errors, and the paired differences."""
    made, panels = style.figure(1, 3, size=(4.7, 3.9), theme=theme)
    curves(panels[0], found, CANDIDATES, theme)
    panels[0].set(yscale="log", ylim=(0.02, 3))
    style.title(panels[0], "Validation loss by learning rate", theme)
    style.legend(panels[0], theme, loc="upper left")
    errors = reported(found, "error")
    dots(panels[1], {name: {name: values} for name, values in errors.items()}, theme, width=0.5)
    panels[1].set(ylabel="test error, %", ylim=(0, None))
    style.title(panels[1], f"Test error, {len(found)} seeds", theme)
    _draw_gaps(panels[2], errors, theme)
    style.title(panels[2], "Paired differences (right: momentum is better)", theme)
    return made


def _draw_gaps(panel: Any, errors: dict[str, list[float]], theme: Theme) -> None:
    """Plot a dot per seed above the mean with its 95% confidence interval."""
    for place, name in enumerate(OTHERS):
        gaps = [b - a for a, b in zip(errors[MOMENTUM], errors[name], strict=True)]
        mean, colour = interval(gaps), COLOURS[name]
        panel.scatter(gaps, [place + 0.16] * len(gaps), s=18, color=colour, alpha=0.6, lw=0)
        panel.plot([mean.low, mean.high], [place] * 2, color=colour, lw=2.2)
        panel.scatter([mean.mean], [place], s=42, color=colour, zorder=3)
    panel.axvline(0, color=theme.muted, lw=0.8, ls=(0, (4, 3)), zorder=0)
    panel.set_yticks(range(len(OTHERS)), [f"{o} less\nmomentum" for o in OTHERS], color=theme.ink)
    panel.set(ylim=(-0.6, len(OTHERS) - 0.4), xlabel="difference in test error, percentage points")
