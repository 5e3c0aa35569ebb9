"""Default implementations of methods that several libraries provide."""

from __future__ import annotations

from dataclasses import dataclass

from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.registry import entries, find

METHODS = {  # entries whose method differs from the part of the name after the colon
    "heavyball:sgd": "momentum",
    "bitsandbytes:sgd": "momentum",
    "heavyball:psgd-kron": "kron",
    "schedulefree:adamw": "schedule-free-adamw",
    "schedulefree:adamw-closure": "schedule-free-adamw",
    "schedulefree:radam": "schedule-free-radam",
    "schedulefree:radam-closure": "schedule-free-radam",
    "schedulefree:sgd": "schedule-free-sgd",
    "schedulefree:sgd-closure": "schedule-free-sgd",
}

TORCH = "included in torch"
OURS = "installed with gdlightning"
SAME = f"{OURS}; the others make the same steps"
AUTHORS = f"{OURS}; makes the same steps as the authors' code"
UNDER_ROOT = "adds 1e-15 to the second moment under the root"
DECOUPLED = "the other uses decoupled weight decay"

WHY = {  # what scripts/bench/sources.py and the libraries' code show; its table: docs/sources.md
    "adadelta": f"{TORCH}; the steps are the same, but {DECOUPLED}",
    "adafactor": f"{TORCH}; the other is BigVision's variant with momentum",
    "adagrad": f"{TORCH}; the others make the same steps",
    "adam": f"{TORCH}; {DECOUPLED}, as AdamW",
    "adam-8bit": "adds weight decay to the gradient, as Adam; the other does as AdamW",
    "adamax": f"{TORCH}; the steps are the same, but {DECOUPLED}",
    "adamc": f"{OURS}; {UNDER_ROOT}",
    "adamw": f"{TORCH}, with a fused step; the others make the same steps",
    "adamw-8bit": "as close to adamw as torchao's and faster on a CPU; not compared on a GPU",
    "ademamix": SAME,
    "adopt": f"{OURS}; clips as the paper's later version, without which heavyball's steps explode",
    "asgd": f"{TORCH}; the other is a different method (adaptive rates by smoothness)",
    "kron": f"{OURS}; supports float64; both fit the preconditioner on random vectors",
    "lamb": f"{OURS}; uses the paper's trust ratio, the other only limits the step",
    "laprop": f"{OURS}; corrects for a changing learning rate; {UNDER_ROOT}",
    "lars": f"{OURS}; uses the paper's trust ratio, the other only limits the step",
    "lion": SAME,
    "momentum": f"{TORCH}; heavyball's uses decoupled weight decay",
    "muon": (
        "torch's class with the author's coefficients, extended to convolutions; the others use "
        "other coefficients or types"
    ),
    "nadam": f"{TORCH}; the other makes the same steps",
    "prodigy": AUTHORS,
    "radam": f"{TORCH}; the other makes no steps until its variance estimate is reliable",
    "rmsprop": f"{TORCH}; bitsandbytes' makes the same steps, heavyball's corrects the bias",
    "sam": "wraps any optimizer and follows schedules",
    "schedule-free-adamw": f"{AUTHORS}, except that it {UNDER_ROOT}",
    "schedule-free-radam": AUTHORS,
    "schedule-free-sgd": AUTHORS,
    "scion": f"{OURS}; the other replaces the weights in its first step",
    "soap": f"{OURS}; supports float64, which heavyball's does not",
}


@dataclass(frozen=True)
class Source:
    """Implementations of a method.

    Args:
        default: name of the default entry, which has the plain name of the method.
        others: names of the entries of other libraries.
        why: reason for the default, by correctness, then missing dependencies, then speed.
    """

    default: str
    others: tuple[str, ...]
    why: str


def method(entry: Entry) -> str:
    """Return the plain name of the method, regardless of the library."""
    return METHODS.get(entry.name) or entry.name.rpartition(":")[2]


def sources() -> dict[str, Source]:
    """Return the methods that several libraries provide, by plain name."""
    found: dict[str, list[str]] = {}
    for entry in entries():
        found.setdefault(method(entry), []).append(entry.name)
    made = {}
    for name, same in sorted(found.items()):
        if len(same) > 1:
            default = find(name).name
            others = tuple(n for n in same if n != default)
            made[name] = Source(default, others, WHY.get(name, ""))
    return made
