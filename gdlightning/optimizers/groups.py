"""Parameter groups: each trainable parameter in exactly one group, with its lr and weight decay."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

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
    """Settings of the parameters whose name matches a shell-style pattern.

    Args:
        pattern: pattern of full parameter names, such as ``net.blocks.*.bias``; must match at least
            one.
        lr: peak learning rate of these parameters.
        weight_decay: weight decay of these parameters.
        freeze: whether to exclude these parameters from training.
    """

    pattern: str
    lr: float | None = None
    weight_decay: float | None = None
    freeze: bool = False


@dataclass(frozen=True)
class Grouping:
    """Rules that assign parameters to groups.

    Args:
        rules: patterns with settings; the first match applies to a parameter.
        freeze: patterns of parameters to exclude from training.
        layer_decay: learning rate of a layer relative to the layer above (layer-wise decay, Howard
            and Ruder 2018, arXiv:1801.06146); 1 disables it.
        decay: kinds of parameters with weight decay: ``matrix``, ``output``, ``embedding``,
            ``vector``.

    Raises:
        UserError: if a value is out of range or a kind is unknown.
    """

    rules: Sequence[Rule] = ()
    freeze: Sequence[str] = ()
    layer_decay: float = 1.0
    decay: Sequence[str] = ("matrix", "output")

    def __post_init__(self) -> None:
        if not 0 < self.layer_decay <= 1:
            raise UserError(
                "groups.layer_decay must be positive and at most 1",
                key="groups.layer_decay",
                value=self.layer_decay,
            )
        for kind in self.decay:
            if kind not in KINDS:
                raise UserError(
                    f"groups.decay must list kinds out of {', '.join(KINDS)} (got {kind})."
                    f"{did_you_mean(kind, KINDS)}",
                    key="groups.decay",
                )
        for rule in self.rules:
            for key in ("lr", "weight_decay"):
                value = getattr(rule, key)
                if value is not None and not value >= 0:
                    raise UserError(
                        f"groups.rules: {key} of {rule.pattern} must not be negative",
                        key="groups.rules",
                        value=value,
                    )


KINDS = ("matrix", "output", "embedding", "vector")


@dataclass
class Group:
    """Parameters with the same kind and settings.

    Args:
        kind: one of ``KINDS``.
        lr: peak learning rate; None for that of the optimizer.
        lr_factor: multiplier of the optimizer's learning rate.
        weight_decay: weight decay; None if the optimizer has none.
        names: full names of the parameters.
        params: the parameters.
    """

    kind: str
    lr: float | None
    lr_factor: float
    weight_decay: float | None
    names: list[str] = field(default_factory=list)
    params: list[nn.Parameter] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Short name for tables and logs."""
        parts = [self.kind]
        if self.lr_factor != 1.0:
            parts.append(f"x{self.lr_factor:.3g}")
        if self.lr is not None:
            parts.append(f"lr{self.lr:g}")
        if self.weight_decay is not None:
            parts.append("decay" if self.weight_decay else "no-decay")
        return "-".join(parts)


def kinds(module: nn.Module) -> dict[str, str]:
    """Return the kind of each parameter by name; tied parameters have their first name.

    The kinds are ``embedding`` for weights of embeddings, ``vector`` for biases, gains of norms and
    other parameters with fewer than two dimensions, ``output`` for the weight of the last linear
    layer, and ``matrix`` for all others.
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
    """Disable ``requires_grad`` of the parameters to freeze.

    Raises:
        UserError: if a pattern matches nothing, or no trainable parameter remains.
    """
    check_initialized(module)
    names = [name for name, _ in module.named_parameters()]
    for pattern in grouping.freeze:
        check_pattern("groups.freeze", pattern, names)
    for rule in grouping.rules:
        check_pattern("groups.rules", rule.pattern, names)
    for name, parameter in module.named_parameters():
        if _rule(name, grouping).freeze:
            parameter.requires_grad_(False)
    if not names:
        raise UserError(f"{type(module).__name__} has no parameters to train.", key="model")
    if not any(p.requires_grad for p in module.parameters()):
        raise UserError(
            "No trainable parameters: groups.freeze and groups.rules freeze all of them.",
            key=("groups.freeze", "groups.rules"),
        )


def check_initialized(module: nn.Module) -> None:
    """Check that the shape of every parameter is known.

    Raises:
        UserError: if a lazy layer has not seen a batch yet.
    """
    lazy = (n for n, p in module.named_parameters() if isinstance(p, UninitializedParameter))
    if name := next(lazy, None):
        raise UserError(
            f"The shape of {name} is unknown: its layer is lazy (nn.LazyLinear) and has not "
            "seen a batch yet.\n"
            "Set the size of the layer, or example_input_array of the module.",
            key="model",
        )


def check_pattern(key: str, pattern: str, names: Sequence[str]) -> None:
    """Check that a shell-style pattern matches at least one parameter name.

    Args:
        key: config key, for the error message.
        pattern: shell-style pattern.
        names: full names of all parameters.

    Raises:
        UserError: if no name matches. The message suggests similar names.
    """
    if not any(fnmatch.fnmatchcase(n, pattern) for n in names):
        raise UserError(
            f"{key}: the pattern {pattern} matches no parameter."
            f"{did_you_mean(pattern, names)}\n"
            f"The first parameters: {', '.join(names[:6])}",
            key=key,
        )


def group(
    module: nn.Module,
    grouping: Grouping,
    weight_decay: float | None,
    only: Collection[str] | None = None,
) -> list[Group]:
    """Freeze parameters as required, and assign every other parameter to exactly one group.

    Args:
        module: module whose parameters are grouped; frozen ones get ``requires_grad=False``.
        grouping: rules of the groups.
        weight_decay: weight decay of the kinds in ``grouping.decay``; None if the optimizer has
            none.
        only: names of the parameters to group; all if None.

    Returns:
        The groups, in the order of their first parameter.

    Raises:
        UserError: if a pattern matches nothing, or no trainable parameter remains.
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
    """Return the learning-rate multiplier of each parameter: 1 in the last layer, then decaying.

    A layer is a numbered submodule (``net.blocks.3``), or a named submodule outside of any.

    Args:
        names: full names of the parameters, in order.
        decay: learning rate of a layer relative to the layer above.
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
