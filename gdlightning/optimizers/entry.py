"""Facts about an optimizer that need no import of its library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NEEDS = {
    "closure": "evaluates the loss several times per step",
    "second-order": "needs the graph of the gradient (backward with create_graph)",
    "matrices": "only accepts matrices; a companion optimizer trains the other parameters",
    "marked groups": "splits its parameters itself, by a flag of each group such as use_muon",
    "modes": "uses different weights for evaluation and training (train() and eval())",
    "sparse": "only accepts sparse gradients",
    "model": "is constructed from the module instead of its parameters",
    "steps": "needs the number of optimizer steps of the whole run",
    "examples": "needs the number of training examples",
    "loss": "needs the loss of the step",
    "base": "wraps a base optimizer",
    "one group": "accepts a single group, without weight decay or learning rates per group",
}

EXTRAS = ("bitsandbytes", "heavyball", "prodigyopt", "schedulefree", "torchao")
"""Optional libraries, each an extra of gdlightning with the same name."""

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
"""Requirements for every optimizer; ``gdlightning.contract`` tests each optimizer on each."""


@dataclass(frozen=True)
class Likeness:
    """Relation of good settings to those of AdamW on the same task.

    Args:
        lr: good learning rate as a multiple of AdamW's.
        source: source of the multiple.
        decoupled: whether weight decay is decoupled, so that lr × weight decay should stay
            constant.
        options: options that make the steps comparable to AdamW's.
    """

    lr: float
    source: str
    decoupled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """Description of an optimizer in plain values, so that listing optimizers imports no library.

    Args:
        name: unique name in lower case with hyphens, such as ``schedule-free-adamw``.
        target: import path of the class, ``module:Class``; imported when the optimizer is used.
        summary: description in one line, without a final period.
        family: ``momentum``, ``adaptive``, ``sign``, ``matrix``, ``second-order``,
            ``sharpness-aware``, ``schedule-free``, ``lr-free``, ``low-memory`` or
            ``variance-reduced``.
        use: when to use the optimizer.
        paper: URL of the paper; empty if there is none.
        rule: update rule, with weights θ, gradient g, learning rate η, weight decay λ and averages
            m, v.
        deviation: difference between the class and its paper, found by a test against the paper.
        licence: licence of the implementation and, if stricter, of the authors' code.
        commercial: whether the licence allows commercial use.
        defaults: options whose default differs from that of the class.
        aliases: other names of the optimizer.
        needs: requirements; keys of ``NEEDS``.
        sparse: whether the optimizer accepts sparse gradients in addition to dense ones.
        hidden: options of the class that a config cannot hold.
        data_options: options that are set from the run, option → ``steps``, ``examples`` or
            ``steps_per_epoch``.
        matrix_options: options that the class reads from groups of matrices, with defaults.
        group_mark: for ``marked groups``, the key that selects groups for the main update.
        device: ``cuda`` if a GPU is required, otherwise empty.
        largest: maximum size of a tensor dimension, for optimizers that keep a square matrix per
            dimension of any size; 0 if unlimited.
        dimensions: maximum number of tensor dimensions, for optimizers that only accept matrices; 0
            if unlimited, in which case a convolution kernel counts as a matrix with one row per
            output.
        likeness: relation of its settings to those of AdamW; None if unknown.
        cannot: violated requirements, key of ``CLAUSES`` → reason.
        refused: reason why the optimizer is not supported; empty for supported ones.
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
        """Distribution that contains the class, such as ``torch`` or ``pytorch_optimizer``."""
        return self.target.split(":")[0].split(".")[0]

    @property
    def extra(self) -> str:
        """Extra of gdlightning that installs the library; empty if it is always installed."""
        return self.package if self.package in EXTRAS else ""

    @property
    def lr_free(self) -> bool:
        """Whether the optimizer estimates the learning rate, so that ``lr`` is a multiplier."""
        return self.family == "lr-free"
