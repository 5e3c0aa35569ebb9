"""One method in several libraries: which of them has the plain name, and why."""

from __future__ import annotations

from dataclasses import dataclass

from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.registry import entries, find

METHODS = {  # prefixed names whose method is not called what follows the colon
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

TORCH = "torch's own, which is always there"
OURS = "comes with gdlightning"
SAME = f"{OURS}; the others make the same steps"
UNDER_ROOT = "it adds 1e-15 to the second moment, under the root"

WHY = {  # what scripts/bench/sources.py and the libraries' code show; its table: docs/sources.md
    "adadelta": f"{TORCH}; the same steps, but the other decays weights outside of the gradient",
    "adafactor": f"{TORCH}; the other is BigVision's variant, with momentum",
    "adagrad": f"{TORCH}; the others make the same steps",
    "adam": f"{TORCH}; the other decays weights outside of the gradient, as AdamW",
    "adam-8bit": "weight decay is in the gradient, as Adam's; the other's is AdamW's",
    "adamax": f"{TORCH}; the same steps, but the other decays weights outside of the gradient",
    "adamc": f"{OURS}; {UNDER_ROOT}",
    "adamw": f"{TORCH}, with a fused step; the others make the same steps",
    "adamw-8bit": "as near to adamw as torchao's, and faster on a CPU; not compared on a GPU",
    "ademamix": SAME,
    "adopt": f"{OURS}, and clips as the paper's later version; heavyball's leaps without that",
    "asgd": f"{TORCH}; the other, of adaptive rates by smoothness, shares but its abbreviation",
    "kron": f"{OURS}, and takes float64; both fit the preconditioner on random vectors",
    "lamb": f"{OURS}, and has the paper's trust ratio; the other only bounds the step",
    "laprop": f"{OURS}, and corrects for a changing learning rate; {UNDER_ROOT}",
    "lars": f"{OURS}, and has the paper's trust ratio; the other only bounds the step",
    "lion": SAME,
    "momentum": f"{TORCH}; heavyball's decays weights outside of the gradient",
    "muon": f"{TORCH}, with the author's coefficients; other coefficients or types elsewhere",
    "nadam": f"{TORCH}; the other makes the same steps",
    "prodigy": f"{OURS}, and makes the same steps as its authors' code",
    "radam": f"{TORCH}; the other makes no steps before its estimate is good",
    "rmsprop": f"{TORCH}; bitsandbytes' makes the same steps, heavyball's corrects the bias",
    "sam": "wraps any optimizer, and schedules reach it",
    "schedule-free-adamw": f"{OURS}, and makes its authors' steps but for this: {UNDER_ROOT}",
    "schedule-free-radam": f"{OURS}, and makes the same steps as its authors' code",
    "schedule-free-sgd": f"{OURS}, and makes the same steps as its authors' code",
    "scion": f"{OURS}; the other replaces the weights at its first step",
    "soap": f"{OURS}, and takes float64; heavyball's fails on that",
}


@dataclass(frozen=True)
class Source:
    """Where a method comes from.

    Args:
        default: the entry that has the method's own name.
        others: the same method of other libraries.
        why: the reason for the default: it is correct, needs no extra, is fast, in this order.
    """

    default: str
    others: tuple[str, ...]
    why: str


def method(entry: Entry) -> str:
    """The method's plain name, whatever library the entry is of."""
    return METHODS.get(entry.name) or entry.name.rpartition(":")[2]


def sources() -> dict[str, Source]:
    """Each method that several libraries have, by its plain name."""
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
