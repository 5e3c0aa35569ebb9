"""Assignment of parameters to the optimizers of a choice."""

from __future__ import annotations

import fnmatch

from torch import Tensor, nn

from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import EMBEDDINGS, check_pattern, kinds

TAKES = {"sparse": "sparse gradients", "matrices": "matrices (hidden weights)"}
"""Descriptions of the parameters that optimizers with a need accept."""


def share(choice: Choice, module: nn.Module) -> list[tuple[Choice, list[str]]]:
    """Return the optimizers of a choice, each with the names of its parameters.

    Parts select parameters first, then the main optimizer; its companion gets the rest. Embeddings
    are switched to dense gradients if their optimizer does not accept sparse ones.

    Args:
        choice: choice of optimizers.
        module: module whose parameters are assigned.

    Raises:
        UserError: if a pattern matches nothing, or an optimizer cannot train its parameters.
    """
    found = _by_pattern(choice, module)
    taken = {name for _, names in found for name in names}
    rest = [n for n, p in module.named_parameters() if p.requires_grad and n not in taken]
    mine = _of_main(choice, module, rest)
    found = [(choice, mine), *found]
    if choice.companion is not None:
        found.insert(1, (choice.companion, [n for n in rest if n not in set(mine)]))
    _check_largest(module, found)
    _check_second_order(module, choice)
    _densify(module, found)
    return [(own, names) for own, names in found if names]


def sparse_parameters(module: nn.Module) -> set[Tensor]:
    """Return the weights of embeddings with sparse gradients."""
    return {m.weight for m in module.modules() if isinstance(m, EMBEDDINGS) and m.sparse}


def _by_pattern(choice: Choice, module: nn.Module) -> list[tuple[Choice, list[str]]]:
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    sparse = sparse_parameters(module)
    every = [n for n, _ in module.named_parameters()]
    found, taken = [], set[str]()
    for own in choice.shares:
        check_pattern("optimizer.parts", own.pattern, every)
        matching = [n for n in parameters if fnmatch.fnmatchcase(n, own.pattern)]
        names = [n for n in matching if n not in taken]
        for name in names:
            parameter = parameters[name]
            if not _can_take(own.choice.entry, "matrix", parameter, sparse):
                raise UserError(
                    f"optimizer.parts: {own.choice.entry.name} only accepts "
                    f"{_takes(own.choice.entry)}, which {name} ({own.pattern}) is not.",
                    key="optimizer.parts",
                )
        taken |= set(names)
        found.append((own.choice, names))
    return found


def _of_main(choice: Choice, module: nn.Module, rest: list[str]) -> list[str]:
    if choice.companion is None:
        mine = rest
    else:
        kind_of, sparse = kinds(module), sparse_parameters(module)
        parameters = dict(module.named_parameters())
        mine = [n for n in rest if _can_take(choice.entry, kind_of[n], parameters[n], sparse)]
    if not mine:
        has = "the model has none" if not choice.shares else "optimizer.parts leaves none"
        what = f"only accepts {_takes(choice.entry)}" if choice.companion else "trains the rest"
        raise UserError(
            f"The optimizer {choice.entry.name} {what}, but {has}.",
            key="optimizer.name",
            hint=_alternative(choice, module),
        )
    return mine


def _alternative(choice: Choice, module: nn.Module) -> str:
    most = choice.entry.dimensions
    if most and any(p.ndim > most for p in module.parameters()):
        return "Use muon, which treats convolutions as matrices, or adamw."
    return "Use another optimizer, such as adamw (gdl optimizers)."


def _can_take(entry: Entry, kind: str, parameter: nn.Parameter, sparse: set[Tensor]) -> bool:
    if "sparse" in entry.needs:
        return parameter in sparse
    most = entry.dimensions or parameter.ndim
    return kind == "matrix" and ("matrices" not in entry.needs or 2 <= parameter.ndim <= most)


def _takes(entry: Entry) -> str:
    return next((TAKES[n] for n in TAKES if n in entry.needs), "hidden matrices with a companion")


def _check_largest(module: nn.Module, shares: list[tuple[Choice, list[str]]]) -> None:
    """Raise an error for tensors that would need gigabytes of optimizer state."""
    parameters = dict(module.named_parameters())
    for own, names in shares:
        limit = own.entry.largest
        for name in names if limit else ():
            size = max(parameters[name].shape, default=1)
            if size > limit:
                raise UserError(
                    f"The optimizer {own.entry.name} keeps a square matrix per tensor dimension, "
                    f"and supports dimensions of up to {limit:,} (got {size:,} in {name}).\n"
                    "Use soap, which skips large dimensions, or train that parameter with another "
                    "optimizer (optimizer.parts)."
                )


def _check_second_order(module: nn.Module, choice: Choice) -> None:
    """Raise an error for layers that cannot be differentiated twice."""
    bags = ((n, m) for n, m in module.named_modules() if isinstance(m, nn.EmbeddingBag))
    largest = next((n for n, m in bags if m.mode == "max"), None)
    for entry in choice.entries:
        if largest is not None and "second-order" in entry.needs:
            raise UserError(
                f"The optimizer {entry.name} needs second derivatives, which torch does not "
                f"support for {largest} (nn.EmbeddingBag with mode='max').\n"
                "Use mode='sum' or 'mean', or another optimizer, such as adagrad."
            )


def _densify(module: nn.Module, shares: list[tuple[Choice, list[str]]]) -> None:
    parameters = dict(module.named_parameters())
    kept = {
        parameters[name]
        for own, names in shares
        if own.entry.sparse or "sparse" in own.entry.needs
        for name in names
    }
    for owner in module.modules():
        if isinstance(owner, EMBEDDINGS) and owner.weight not in kept:
            owner.sparse = False
