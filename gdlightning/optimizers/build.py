"""From a choice of optimizer to one torch Optimizer over a module's parameters."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdlightning.errors import UserError
from gdlightning.optimizers.chain import Chain
from gdlightning.optimizers.entry import NEEDS, Entry
from gdlightning.optimizers.groups import EMBEDDINGS, Group, Grouping, group
from gdlightning.optimizers.options import check, options
from gdlightning.optimizers.registry import find, load


@dataclass(frozen=True)
class Choice:
    """An optimizer by name with its options.

    Args:
        entry: of the registry.
        options: those that the user gave.
        companion: for parameters that the optimizer can't take.
        base: what a wrapping optimizer such as SAM wraps.
    """

    entry: Entry
    options: Mapping[str, Any] = field(default_factory=dict)
    companion: Choice | None = None
    base: Choice | None = None

    @classmethod
    def of(cls, given: str | Mapping[str, Any], where: str = "optimizer") -> Choice:
        """From a name, or a mapping with ``name``, options, and perhaps ``companion`` and ``base``.

        Raises:
            UserError: name, option or value is not known or can't be meant.
        """
        settings = {"name": given} if isinstance(given, str) else dict(given)
        if "name" not in settings:
            raise UserError(f"{where} has no name. List the names with: gdl optimizers")
        entry = find(str(settings.pop("name")))
        nested = {}
        for key, default in (("companion", "adamw"), ("base", "sgd")):
            wanted = settings.pop(key, None)
            if key in sub_choices(entry):
                nested[key] = cls.of(wanted or default, f"{where}.{key}")
                _check_nested(nested[key], f"{where}.{key}", key)
            elif wanted:
                raise UserError(f"The optimizer {entry.name} takes no {key} ({where}.{key}).")
        if entry.refused:
            raise UserError(f"{where}: {entry.name} can't be used here: {entry.refused}.")
        check(entry, settings, where)
        return cls(entry, settings, **nested)

    @property
    def needs(self) -> set[str]:
        """The needs of the entry and of its companion."""
        return set(self.entry.needs) | (self.companion.needs if self.companion else set())

    def value(self, option: str) -> Any:
        """What an option will be, default included; None where the optimizer has no such option."""
        settings, known = self.settings(), options(self.entry)
        if option in settings or option not in known:
            inner = self.base.value(option) if self.base and option not in known else None
            return settings.get(option, inner)
        return None if known[option].required else known[option].default

    def settings(self) -> dict[str, Any]:
        """The options that differ from the class's own defaults: the entry's, then the user's."""
        known = options(self.entry)
        settings = {k: v for k, v in self.entry.defaults.items() if k in known} | dict(self.options)
        settings = {k: _tupled(v) for k, v in settings.items() if v is not None}
        if settings.get("momentum") == 0 and "nesterov" not in self.options:
            settings.pop("nesterov", None)  # Nesterov without momentum is no optimizer
        return settings


def _check_nested(choice: Choice, where: str, key: str) -> None:
    """Refuse what can't step beside or within another optimizer, which calls ``step()`` alone."""
    entry = choice.entry
    met = {"second-order", "modes", "marked groups", "steps", "examples"}
    lacking = set(entry.needs) - (met if key == "companion" else set())
    if lacking or "lr" not in options(entry):
        why = NEEDS[sorted(lacking)[0]] if lacking else "has no learning rate"
        raise UserError(
            f"{where}: {entry.name} can't be a {key}: it {why}.\n"
            "Choose one that needs nothing special, such as adamw or sgd: gdl optimizers"
        )


def sub_choices(entry: Entry) -> tuple[str, ...]:
    """Which of ``companion`` and ``base`` the optimizer takes."""
    found = []
    if {"matrices", "sparse"} & set(entry.needs):
        found.append("companion")
    if "base" in entry.needs:
        found.append("base")
    return tuple(found)


@dataclass(frozen=True)
class Context:
    """What optimizers may want to know of the training.

    Args:
        steps: optimizer steps of the whole training.
        steps_per_epoch: optimizer steps an epoch.
        examples: training examples.
        scaler: gradients are scaled for float16; fused steps would unscale them unseen.
    """

    steps: int = 1000
    steps_per_epoch: int = 100
    examples: int = 1000
    scaler: bool = False


@dataclass(frozen=True)
class Part:
    """What one optimizer was given, for the table."""

    optimizer: str
    groups: list[Group]
    lr: float | None


def build(
    choice: Choice, module: nn.Module, grouping: Grouping, context: Context
) -> tuple[Optimizer, list[Part]]:
    """One torch Optimizer over all trainable parameters, and what went where.

    Raises:
        UserError: the optimizer can't take these parameters, options or patterns.
    """
    optimizer, parts = _built(choice, module, grouping, context)
    check_complete(optimizer, module)
    return optimizer, parts


def check_complete(optimizer: Optimizer, module: nn.Module) -> None:
    """Make sure that every trainable parameter is in exactly one group.

    Raises:
        UserError: with the name of the first that is in none, or in several.
    """
    count = Counter(id(p) for g in optimizer.param_groups for p in g["params"])
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and count[id(parameter)] != 1:
            where = "several groups" if count[id(parameter)] else "no group"
            raise UserError(
                f"The parameter {name} is in {where} of the optimizer "
                f"{type(optimizer).__name__}; each must be in exactly one.\n"
                "To leave a parameter untrained, freeze it: groups.freeze."
            )


def _built(
    choice: Choice, module: nn.Module, grouping: Grouping, context: Context
) -> tuple[Optimizer, list[Part]]:
    sparse = _sparse_parameters(module)
    if sparse and not ({"sparse"} & set(choice.entry.needs) or choice.entry.sparse):
        for owner in module.modules():  # its gradients become dense
            if isinstance(owner, EMBEDDINGS):
                owner.sparse = False
        sparse = set()
    groups = group(module, grouping, choice.value("weight_decay"))
    if choice.companion is None:
        part = Part(choice.entry.name, groups, choice.value("lr"))
        return _make(choice, groups, module, context, sparse), [part]
    mine, others = _divide(choice.entry, groups, sparse)
    companion_decay = choice.companion.value("weight_decay")
    for g in others:
        if g.weight_decay and companion_decay is not None:
            g.weight_decay = companion_decay
    chosen = [(choice, mine), (choice.companion, others)]
    parts = [Part(c.entry.name, g, c.value("lr")) for c, g in chosen if g]
    made = [_make(c, g, module, context, sparse) for c, g in chosen if g]
    if len(made) == 1:
        return made[0], parts
    return Chain(made, [p.optimizer for p in parts]), parts


def _divide(
    entry: Entry, groups: list[Group], sparse: set[Tensor]
) -> tuple[list[Group], list[Group]]:
    """The groups of what the optimizer can take, and of the rest."""

    def takes(kind: str, parameter: nn.Parameter) -> bool:
        if "sparse" in entry.needs:
            return parameter in sparse
        return kind == "matrix" and parameter.ndim == 2

    mine: list[Group] = []
    others: list[Group] = []
    for g in groups:
        for wanted, home in ((True, mine), (False, others)):
            chosen = [(n, p) for n, p in zip(g.names, g.params, strict=True)
                      if takes(g.kind, p) is wanted]  # fmt: skip
            if chosen:
                names, params = map(list, zip(*chosen, strict=True))
                home.append(Group(g.kind, g.lr, g.lr_factor, g.weight_decay, names, params))
    if not mine:
        what = "sparse gradients" if "sparse" in entry.needs else "matrices (2-D hidden weights)"
        raise UserError(
            f"The optimizer {entry.name} takes only {what}, and the model has none.\n"
            "Choose another, e.g. adamw: gdl optimizers"
        )
    return mine, others


def _make(
    choice: Choice,
    groups: list[Group],
    module: nn.Module,
    context: Context,
    sparse: set[Tensor],
) -> Optimizer:
    entry, settings = choice.entry, choice.settings()
    known = options(entry)
    cls: Any = load(entry)
    if choice.base is not None and "lr" not in known:  # it wraps a base optimizer that is made
        return cls(_make(choice.base, groups, module, context, sparse), **settings)  # type: ignore[no-any-return]
    lr = choice.value("lr")
    given = []
    for g in groups:
        row: dict[str, Any] = {"params": g.params, "name": f"{entry.name}/{g.label}"}
        if lr is not None:
            row["lr"] = g.lr if g.lr is not None else lr * g.lr_factor
        if g.weight_decay is not None and "weight_decay" in known:
            row["weight_decay"] = g.weight_decay
        if entry.group_mark:
            row[entry.group_mark] = g.kind == "matrix"
        given.append(row)
    if "one group" in entry.needs:
        given = [{"params": [p for g in groups for p in g.params], "name": entry.name}]
    for option, what in entry.data_options.items():
        settings[option] = getattr(context, what)
    mine = {p for g in groups for p in g.params}
    if (
        entry.library == "torch"
        and "fused" in known
        and "fused" not in settings
        and "foreach" not in settings
        and _can_fuse(mine, context)
        and not (mine & sparse)
    ):
        settings["fused"] = True
    if choice.base is not None:
        base = choice.base
        settings["base"] = functools.partial(load(base.entry), **_without(base.settings(), "lr"))
    try:
        if "model" in entry.needs:
            return cls(module, **settings)  # type: ignore[no-any-return]
        return cls(given, **settings)  # type: ignore[no-any-return]
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        raise UserError(f"The optimizer {entry.name} refuses its options: {error}") from error


def _can_fuse(params: set[nn.Parameter], context: Context) -> bool:
    """On a GPU; on a CPU a fused step differs in the last bit from torch's own default."""
    return not context.scaler and all(torch.is_floating_point(p) and p.is_cuda for p in params)


def _sparse_parameters(module: nn.Module) -> set[Tensor]:
    return {m.weight for m in module.modules() if isinstance(m, EMBEDDINGS) and m.sparse}


def _without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k != name}


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
