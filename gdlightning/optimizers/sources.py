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

TORCH = "from torch, always available"
BUNDLED = "installed with gdlightning"
SAME = f"{BUNDLED}; the others take the same steps"
UNDER_ROOT = "it adds 1e-15 to the second moment, under the root"

WHY = {  # found by scripts/bench/sources.py and in the code of the libraries; see docs/sources.md
    "adadelta": f"{TORCH}; the other takes the same steps, but decouples weight decay",
    "adafactor": f"{TORCH}; the other is the Big Vision variant, with momentum",
    "adagrad": f"{TORCH}; the others take the same steps",
    "adam": f"{TORCH}; the other decouples weight decay, as AdamW",
    "adam-8bit": "adds weight decay to the gradient, as Adam; the other decouples it, as AdamW",
    "adamax": f"{TORCH}; the other takes the same steps, but decouples weight decay",
    "adamc": f"{BUNDLED}; {UNDER_ROOT}",
    "adamw": f"{TORCH}, with a fused step; the others take the same steps",
    "adamw-8bit": "as close to adamw as torchao's, and faster on a CPU; not compared on a GPU",
    "ademamix": SAME,
    "adopt": f"{BUNDLED}, clips as in the paper's later version, which heavyball's does not",
    "asgd": f"{TORCH}; the other only shares the abbreviation: it adapts its steps to smoothness",
    "kron": f"{BUNDLED}, supports float64; both fit the preconditioner on random vectors",
    "lamb": f"{BUNDLED}, uses the trust ratio of the paper; the other only shortens steps",
    "laprop": f"{BUNDLED}, corrects for a changing learning rate; {UNDER_ROOT}",
    "lars": f"{BUNDLED}, uses the trust ratio of the paper; the other only shortens steps",
    "lion": SAME,
    "momentum": f"{TORCH}; heavyball's decouples weight decay",
    "muon": f"{TORCH}, uses the author's coefficients; the others use other coefficients or dtypes",
    "nadam": f"{TORCH}; the other takes the same steps",
    "prodigy": f"{BUNDLED}, takes the same steps as the authors' code",
    "radam": f"{TORCH}; the other skips steps until its variance estimate is reliable",
    "rmsprop": f"{TORCH}; bitsandbytes' takes the same steps, heavyball's corrects the bias",
    "sam": "wraps any optimizer, and supports schedules",
    "schedule-free-adamw": f"{BUNDLED}, as the authors' code, except that {UNDER_ROOT}",
    "schedule-free-radam": f"{BUNDLED}, takes the same steps as the authors' code",
    "schedule-free-sgd": f"{BUNDLED}, takes the same steps as the authors' code",
    "scion": f"{BUNDLED}; the other replaces the weights at its first step",
    "soap": f"{BUNDLED}, supports float64; heavyball's fails with float64",
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
