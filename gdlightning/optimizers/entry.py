"""What is known of an optimizer before its library is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NEEDS = {
    "closure": "evaluates the loss several times a step",
    "second-order": "needs the gradient's own graph (backward with create_graph)",
    "matrices": "takes matrices only; a companion optimizer takes the other parameters",
    "marked groups": "splits its parameters itself by a mark (use_muon and its like) on the groups",
    "modes": "keeps other weights for evaluation than for training (train() and eval())",
    "sparse": "takes sparse gradients only",
    "model": "is built from the module, not from its parameters",
    "steps": "needs the number of optimizer steps of the whole training",
    "examples": "needs the number of training examples",
    "loss": "needs the loss of the step",
    "base": "wraps a base optimizer",
    "one group": "takes all parameters in one group, without weight decay or layer-wise rates",
}

EXTRAS = ("bitsandbytes", "heavyball", "prodigyopt", "schedulefree", "torchao")
"""Libraries that are installed as extras of gdlightning, each under its own name."""

CLAUSES = {
    "learns": "reduces the loss within 200 steps with default settings",
    "schedule": "follows a learning-rate schedule",
    "groups": "supports a learning rate and weight decay per parameter group",
    "clipping": "uses clipped gradients",
    "accumulation": "makes the same step with gradient accumulation as with the whole batch",
    "resume": "resumes from a checkpoint with bit-identical weights",
    "no-gradient": "does not change parameters without a gradient",
    "frozen": "does not change frozen parameters",
    "bf16": "trains parameters in bfloat16",
    "ddp": "keeps the weights of several processes identical",
}
"""What every optimizer is to do; ``gdlightning.contract`` tries each on each."""


@dataclass(frozen=True)
class Likeness:
    """How good settings follow from those that are good for AdamW on the same task.

    Args:
        lr: factor of AdamW's learning rate.
        source: where the factor comes from.
        decoupled: decays weights as AdamW does, so that lr times weight decay is to stay the same.
        options: that make its steps comparable to AdamW's.
    """

    lr: float
    source: str
    decoupled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One optimizer by name: plain strings and numbers, so that listing imports no library.

    Args:
        name: the short name, lower case with hyphens, e.g. ``schedule-free-adamw``.
        target: where the class is, ``module:Class``, imported when the optimizer is chosen.
        summary: what it does, in one line.
        family: ``momentum``, ``adaptive``, ``sign``, ``matrix``, ``second-order``,
            ``sharpness-aware``, ``schedule-free``, ``lr-free``, ``low-memory`` or
            ``variance-reduced``.
        use: when to choose it.
        paper: the URL of its paper, empty where it has none.
        rule: the update in symbols: θ weights, g gradient, η lr, λ weight decay, m, v averages.
        deviation: where the class departs from its paper, as a test against the paper found.
        licence: of the implementation and, where stricter, of the method's own code.
        commercial: False where the licence forbids commercial use.
        defaults: options whose default here differs from the class's own.
        aliases: other names that people use.
        needs: keys of ``NEEDS``.
        sparse: takes sparse gradients too, beside dense ones.
        hidden: options of the class that a config can't hold.
        data_options: option of the class → what the framework fills in: ``steps``, ``examples``
            or ``steps_per_epoch``.
        matrix_options: options that its class reads from the groups of matrices, with defaults.
        group_mark: for ``marked groups``: the key that marks a group for the main update.
        device: ``cuda`` where it needs a GPU.
        largest: rows or columns of the largest tensor that it can take, where it keeps a square
            matrix for each dimension, whatever its size; 0 for any.
        dimensions: the most that a tensor may have which it takes, where it takes matrices alone; 0
            for any: the kernel of a convolution is a matrix, then, with a row for each output.
        likeness: how its settings follow from AdamW's; None where nothing is known of that.
        cannot: clause of the contract that it can't keep → why, in words for people.
        refused: why it can't be trained with here; empty for all that can.
    """

    name: str
    target: str
    summary: str
    family: str
    use: str = ""
    paper: str = ""
    rule: str = ""
    deviation: str = ""
    licence: str = "BSD-3-Clause"
    commercial: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sparse: bool = False
    hidden: tuple[str, ...] = ()
    data_options: Mapping[str, str] = field(default_factory=dict)
    matrix_options: Mapping[str, Any] = field(default_factory=dict)
    group_mark: str = ""
    device: str = ""
    largest: int = 0
    dimensions: int = 0
    likeness: Likeness | None = None
    cannot: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""

    @property
    def package(self) -> str:
        """The distribution that holds the class: ``torch``, ``pytorch_optimizer``, …"""
        return self.target.split(":")[0].split(".")[0]

    @property
    def extra(self) -> str:
        """The extra of gdlightning that installs its library; empty where it is there anyway."""
        return self.package if self.package in EXTRAS else ""

    @property
    def lr_free(self) -> bool:
        """Whether it estimates the learning rate itself; ``lr`` is then a factor, best at 1."""
        return self.family == "lr-free"
