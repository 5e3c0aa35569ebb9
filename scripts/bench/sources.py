"""Compare optimizers that several libraries implement, by their weights and step times.

For each optimizer, 20 steps are made in float64 from the same weights, on the same batches and with
the same options. Then steps in float32 on matrices of 512 × 512 are timed, the libraries in turn.

    python scripts/bench/sources.py > docs/sources.md
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import statistics
import time
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import KINDS, Grouping
from gdlightning.optimizers.implementations import sources
from gdlightning.optimizers.options import options
from gdlightning.optimizers.registry import find, installed

STEPS, TIMED = 20, 25

# The same values under the names that the libraries have for them.
COMMON: dict[str, Any] = {
    "lr": 0.01,
    "betas": [0.9, 0.99],
    "weight_decay": 0.01,
    "eps": 1e-20,
    "momentum": 0.9,
    "weight_decouple": True,
}
PLAIN = {"weight_decay": 0.0}  # where one decays within the gradient and another outside
OF_METHOD: dict[str, dict[str, Any]] = {
    "adadelta": PLAIN,
    "adam": PLAIN,
    "adam-8bit": PLAIN,
    "adamax": PLAIN,
    "ademamix": {"betas": [0.9, 0.99, 0.999], "alpha": 5.0},
    "asgd": PLAIN | {"alpha": 0.75},
    "kron": {"lr": 0.001},
    "lion": {"lr": 0.001},
    "momentum": PLAIN | {"beta": 0.9},
    "muon": {"momentum": 0.95, "betas": [0.95, 0.95], "adamw_betas": [0.9, 0.99], "adamw_wd": 0.01},
    "nadam": {"decoupled_weight_decay": True},
    "prodigy": {"lr": 1.0},
    "radam": PLAIN,
    "rmsprop": PLAIN | {"alpha": 0.99, "momentum": 0.0},
    "soap": {"shampoo_beta": 0.99, "precondition_frequency": 1, "merge_dims": False},
}
COMPANION = {"name": "adamw", "lr": 0.01, "betas": [0.9, 0.99], "weight_decay": 0.01}
SINGLE = ("kron", "soap")  # heavyball's fail on parameters in float64


def chosen(entry: Entry, method: str) -> Choice:
    """Create a choice with the common options that the entry accepts."""
    known = options(entry)
    kept = {} if method in SINGLE else {"storage_dtype": "float64"}
    wanted = COMMON | OF_METHOD.get(method, {}) | kept
    given = {
        k: v for k, v in wanted.items() if k in known and numbers(v) == numbers(known[k].default)
    }
    if "matrices" in entry.needs:
        given["companion"] = COMPANION
    return Choice.of({"name": entry.name, **given})


def numbers(value: Any) -> int:
    """Return the number of values of an option."""
    return len(value) if isinstance(value, list | tuple) else 1


def start(choice: Choice, width: int, kind: torch.dtype) -> tuple[nn.Module, Optimizer]:
    """Create a net with fixed initial weights, and its optimizer."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 8)
    ).to(kind)
    optimizer, _ = build(choice, module, Grouping(decay=KINDS), Context())
    if callable(mode := getattr(optimizer, "train", None)):
        mode()
    return module, optimizer


def step(module: nn.Module, optimizer: Optimizer, count: int) -> float:
    """Make one step on a numbered batch, and return the time of the optimizer in seconds."""
    weight = next(module.parameters())
    batch = torch.Generator().manual_seed(count)
    inputs = torch.randn(32, weight.shape[1], generator=batch, dtype=weight.dtype)
    classes = torch.randint(8, (32,), generator=batch)
    optimizer.zero_grad()
    nn.functional.cross_entropy(module(inputs), classes).backward()
    began = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - began


def weights(module: nn.Module) -> list[Tensor]:
    """Return copies of all weights."""
    return [p.detach().clone() for p in module.parameters()]


def trained(choice: Choice, kind: torch.dtype) -> tuple[list[Tensor], float]:
    """Return training and evaluation weights after 20 steps, and the largest change."""
    module, optimizer = start(choice, 64, kind)
    before = weights(module)
    for count in range(STEPS):
        step(module, optimizer, count)
    if callable(mode := getattr(optimizer, "eval", None)):
        mode()
    return weights(module), apart(before, weights(module))


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest difference of two weights."""
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def seconds(choices: list[Choice]) -> list[float]:
    """Return the median time per step of each, in turn so that load affects all equally."""
    made = [start(c, 512, torch.float32) for c in choices]
    taken: list[list[float]] = [[] for _ in made]
    for count in range(TIMED):
        for (module, optimizer), times in zip(made, taken, strict=True):
            times.append(step(module, optimizer, count))
    return [statistics.median(t[5:]) for t in taken]


def rows(method: str) -> list[str]:
    """Return the rows of one method."""
    source = sources()[method]
    found = [find(n) for n in (source.default, *source.others)]
    usable = [e for e in found if installed(e) and not e.refused and not e.device]
    if len(usable) < 2:
        return []
    choices = [chosen(e, method) for e in usable]
    kind = torch.float32 if method in SINGLE else torch.float64
    ends = [trained(c, kind) for c in choices]
    times = seconds(choices)
    return [
        f"| {method if not i else ''} | {entry.name} | {apart(ends[0][0], ends[i][0]):.1g} | "
        f"{ends[i][1]:.2g} | {times[i] / times[0]:.2f} |"
        for i, entry in enumerate(usable)
    ]


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", nargs="*", help="methods to compare (default: all)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):  # one library prints a note on its weight decay
        lines = [line for method in given.methods or sources() for line in rows(method)]
    names = (
        "torch",
        "pytorch_optimizer",
        "heavyball",
        "schedulefree",
        "prodigyopt",
        "torchao",
        "bitsandbytes",
    )
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names if _there(n))
    print(PAGE.format(versions=versions, table="\n".join(lines), reasons=_reasons()))


def _there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _reasons() -> str:
    return "\n".join(f"| {m} | {s.default} | {s.why} |" for m, s in sources().items())


PAGE = """# Default implementations

Several methods are implemented in more than one library. The plain name selects the default: an
implementation that is correct, if possible one that needs no extra, and among those the fastest.
The others have the library as a prefix, such as `heavyball:muon`, and need its extra:
`pip install 'gdlightning[heavyball]'`. `gdl optimizers` lists all of them, installed or not.

| method | default | reason |
|---|---|---|
{reasons}

## Measurements

Measured with {versions}.

- **difference**: the largest difference of a weight from the default's after 20 steps in float64
  (float32 for kron and soap), from the same initial weights, on the same batches, with the same
  options as far as both support them.
- **distance**: the largest distance of a weight from its initial value after these steps.
- **time**: the median time per step on 512 × 512 matrices in float32 on one CPU core, relative to
  the default's, in alternation.

| method | entry | difference | distance | time |
|---|---|---|---|---|
{table}

This page is generated by `python scripts/bench/sources.py > docs/sources.md`.
"""

if __name__ == "__main__":
    main()
