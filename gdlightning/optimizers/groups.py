"""Parameter groups: each trainable parameter in exactly one, with its own lr and weight decay."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from gdlightning.errors import UserError, did_you_mean

NORMS: tuple[type[nn.Module], ...] = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True)
class Rule:
    """What holds for parameters whose name matches a shell pattern, e.g. ``net.blocks.*.bias``.

    Args:
        pattern: matched against the parameter's full name; it must match at least one.
        lr: their own peak learning rate.
        weight_decay: their own weight decay.
        freeze: they are not trained.
    """

    pattern: str
    lr: float | None = None
    weight_decay: float | None = None
    freeze: bool = False


@dataclass(frozen=True)
class Grouping:
    """How parameters are grouped.

    Args:
        rules: patterns with their own settings; the first that matches a parameter counts.
        freeze: patterns of parameters that are not trained.
        layer_decay: the learning rate of a layer is this factor times that of the layer above it
            (layer-wise decay, Howard and Ruder 2018); 1 turns it off.
        decay: kinds of parameters that get the weight decay: ``matrix``, ``output``,
            ``embedding``, ``vector``.
    """

    rules: Sequence[Rule] = ()
    freeze: Sequence[str] = ()
    layer_decay: float = 1.0
    decay: Sequence[str] = ("matrix", "output")

    def __post_init__(self) -> None:
        if not 0 < self.layer_decay <= 1:
            raise UserError(
                f"groups.layer_decay is {self.layer_decay}; write a number above 0, at most 1."
            )
        for kind in self.decay:
            if kind not in KINDS:
                raise UserError(
                    f"groups.decay names {kind}; the kinds are {', '.join(KINDS)}."
                    f"{did_you_mean(kind, KINDS)}"
                )
        for rule in self.rules:
            for key in ("lr", "weight_decay"):
                value = getattr(rule, key)
                if value is not None and not value >= 0:
                    raise UserError(f"groups.rules: {rule.pattern}: {key} is {value}; 0 or more.")


KINDS = ("matrix", "output", "embedding", "vector")


@dataclass
class Group:
    """Parameters that share kind and settings; ``lr_factor`` is of the optimizer's own lr."""

    kind: str
    lr: float | None
    lr_factor: float
    weight_decay: float | None
    names: list[str] = field(default_factory=list)
    params: list[nn.Parameter] = field(default_factory=list)

    @property
    def label(self) -> str:
        """A short name, for tables and logs."""
        parts = [self.kind]
        if self.lr_factor != 1.0:
            parts.append(f"x{self.lr_factor:.3g}")
        if self.lr is not None:
            parts.append(f"lr{self.lr:g}")
        if self.weight_decay is not None:
            parts.append("decay" if self.weight_decay else "no-decay")
        return "-".join(parts)


def kinds(module: nn.Module) -> dict[str, str]:
    """Name → kind of every parameter, tied ones under their first name.

    ``embedding``: weights of an embedding; ``vector``: biases, gains of norms, all with fewer than
    two dimensions; ``output``: the weight of the last linear layer; ``matrix``: all others.
    """
    owner_of: dict[int, nn.Module] = {}
    last_linear: Tensor | None = None
    for owner in module.modules():
        for parameter in owner.parameters(recurse=False):
            owner_of.setdefault(id(parameter), owner)
        if isinstance(owner, nn.Linear):
            last_linear = owner.weight
    found = {}
    for name, parameter in module.named_parameters():
        owner = owner_of[id(parameter)]
        if isinstance(owner, EMBEDDINGS):
            kind = "embedding"
        elif parameter.ndim < 2 or isinstance(owner, NORMS):
            kind = "vector"
        else:
            kind = "output" if parameter is last_linear else "matrix"
        found[name] = kind
    return found


def freeze(module: nn.Module, grouping: Grouping) -> None:
    """Switch off ``requires_grad`` of the parameters that are to be frozen.

    Raises:
        UserError: a pattern matches nothing, or nothing is left to train.
    """
    names = [name for name, _ in module.named_parameters()]
    for pattern in grouping.freeze:
        check_pattern("freeze", pattern, names)
    for rule in grouping.rules:
        check_pattern("groups.rules", rule.pattern, names)
    for name, parameter in module.named_parameters():
        if _rule(name, grouping).freeze:
            parameter.requires_grad_(False)
    if not any(p.requires_grad for p in module.parameters()):
        raise UserError("No parameter is left to train: freeze and groups.rules freeze them all.")


def check_pattern(key: str, pattern: str, names: Sequence[str]) -> None:
    """Make sure that a shell pattern matches any of the parameters' names.

    Raises:
        UserError: it does not; the message has the nearest names.
    """
    if not any(fnmatch.fnmatchcase(n, pattern) for n in names):
        raise UserError(
            f"{key}: the pattern {pattern} matches no parameter."
            f"{did_you_mean(pattern, names)}\n"
            f"The first parameters: {', '.join(names[:6])}"
        )


def group(
    module: nn.Module,
    grouping: Grouping,
    weight_decay: float | None,
    only: Collection[str] | None = None,
) -> list[Group]:
    """Freeze what is to be frozen and put every other parameter into exactly one group.

    Args:
        module: whose parameters are grouped; ``requires_grad`` of frozen ones is switched off.
        grouping: the rules.
        weight_decay: of the kinds that ``grouping.decay`` names; None where the optimizer has none.
        only: the names of the parameters that are meant; all if not given.

    Raises:
        UserError: a pattern matches nothing, or nothing is left to train.
    """
    freeze(module, grouping)
    factors = layer_factors([name for name, _ in module.named_parameters()], grouping.layer_decay)
    found: dict[tuple[Any, ...], Group] = {}
    kind_of = kinds(module)
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad or (only is not None and name not in only):
            continue
        rule, kind = _rule(name, grouping), kind_of[name]
        decay = weight_decay if kind in grouping.decay or weight_decay is None else 0.0
        if rule.weight_decay is not None and weight_decay is not None:
            decay = rule.weight_decay
        factor = 1.0 if rule.lr is not None else factors[name]
        key_ = (kind, rule.lr, factor, decay)
        entry = found.setdefault(key_, Group(kind, rule.lr, factor, decay))
        entry.names.append(name)
        entry.params.append(parameter)
    return list(found.values())


def layer_factors(names: Iterable[str], decay: float) -> dict[str, float]:
    """Factor of the learning rate by parameter name: 1 at the output, ``decay`` less a layer below.

    A layer is a numbered part of the module (``net.blocks.3``), or a named part outside of any.
    """
    layer_of = {name: _layer(name) for name in names}
    order = list(dict.fromkeys(layer_of.values()))
    top = len(order) - 1
    return {name: decay ** (top - order.index(layer)) for name, layer in layer_of.items()}


def _layer(name: str) -> str:
    parts = name.split(".")
    for position, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: position + 1])
    return ".".join(parts[:-1])


def _rule(name: str, grouping: Grouping) -> Rule:
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in grouping.freeze):
        return Rule(name, freeze=True)
    for rule in grouping.rules:
        if fnmatch.fnmatchcase(name, rule.pattern):
            return rule
    return Rule(name)
