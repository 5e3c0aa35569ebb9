"""Measure the time per step of composed optimizers compared with their fused parts.

Makes steps on the weights of a small transformer with the same gradients, in turn, without forward
passes. The baseline of each composition is its parts, built as torch builds them. Prints a Markdown
table of ratios.

    python scripts/bench/steps.py --rounds 15
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gdlightning.clipping.norm import NormClip
from gdlightning.nets.gpt import GPT
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.chain import Chain
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping
from gdlightning.optimizers.wrappers import WRAPPERS

STEPS = 20
Step = list[Callable[[], Any]]


def net() -> nn.Module:
    """Create four layers of width 128, with a gradient for each weight."""
    torch.manual_seed(0)
    made = GPT(vocab_size=256, width=128, depth=4, heads=4)
    for parameter in made.parameters():
        parameter.grad = torch.randn_like(parameter)
    return made


def composed(given: dict[str, Any]) -> tuple[Optimizer, nn.Module]:
    """Build the optimizer as from a config."""
    module = net()
    return build(Choice.of(given), module, Grouping(), Context())[0], module


def plain() -> Optimizer:
    """Create torch's fused AdamW with two groups."""
    parameters = list(net().parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=1e-6, fused=True)


def parts_of(given: dict[str, Any]) -> Step:
    """Step the parts of a chain without the chain."""
    chain, _ = composed(given)
    if not isinstance(chain, Chain):
        raise TypeError(f"{given['name']} is no chain.")
    return [part.step for part in chain.parts]


def clipped(ours: bool) -> Step:
    """Step after clipping by global norm."""
    optimizer = composed({"name": "adamw", "lr": 1e-6})[0] if ours else plain()
    groups = optimizer.param_groups
    if ours:
        return [functools.partial(NormClip(max_norm=1e9), groups), optimizer.step]
    weights = [p for g in groups for p in g["params"]]
    return [functools.partial(nn.utils.clip_grad_norm_, weights, 1e9), optimizer.step]


def averaged(ours: bool) -> Step:
    """Step and update an exponential moving average of the weights."""
    optimizer, module = composed({"name": "adamw", "lr": 1e-6})
    if ours:
        mean = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.999))
        return [optimizer.step, functools.partial(mean.update_parameters, module)]
    kept = [p.detach().clone() for p in module.parameters()]
    weights = [p.detach() for p in module.parameters()]
    return [optimizer.step, functools.partial(torch._foreach_lerp_, kept, weights, 0.001)]


def cases() -> dict[str, tuple[str, Step, Step]]:
    """Return the baseline of each composition, and both steps."""
    base = {"name": "adamw", "lr": 1e-6}
    hybrid = {"name": "muon", "lr": 1e-6, "companion": {"name": "adamw", "lr": 1e-6}}
    parts = {**base, "parts": [{"pattern": "*attention*", "name": "lion", "lr": 1e-6}]}
    found: dict[str, tuple[str, Step, Step]] = {
        "adamw, with groups": ("torch's fused AdamW", [composed(base)[0].step], [plain().step]),
        "adamw, clipped": ("fused AdamW and clip_grad_norm_", clipped(True), clipped(False)),
        "adamw, EMA": ("the step and one lerp", averaged(True), averaged(False)),
        "muon with adamw": ("its parts", [composed(hybrid)[0].step], parts_of(hybrid)),
        "adamw with lion": ("its parts", [composed(parts)[0].step], parts_of(parts)),
    }
    for wrapper in WRAPPERS.names():
        own = composed({**base, "wrappers": [wrapper]})[0]
        found[f"adamw, {wrapper}"] = ("torch's fused AdamW", [own.step], [plain().step])
    return found


def seconds(step: Step) -> float:
    """Return the time of some steps in seconds."""
    began = time.perf_counter()
    for _ in range(STEPS):
        for part in step:
            part()
    return time.perf_counter() - began


def main() -> None:
    """Run the measurements, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| step | baseline | ms | median ratio | range |\n|---|---|---|---|---|")
    for name, (beside, ours, theirs) in cases().items():
        for warm in (ours, theirs):
            seconds(warm)
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(given.rounds)]
        ratios = sorted(a / b for a, b in pairs)
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        taken = 1000 * median(a for a, _ in pairs) / STEPS
        print(f"| {name} | {beside} | {taken:.2f} | {median(ratios):.2f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
