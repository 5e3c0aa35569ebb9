"""Which optimizer takes which parameters."""

from __future__ import annotations

import fnmatch

from torch import Tensor, nn

from gdlightning.errors import UserError
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.groups import EMBEDDINGS, check_pattern, kinds

TAKES = {"sparse": "sparse gradients", "matrices": "matrices (hidden weights)"}


def share(choice: Choice, module: nn.Module) -> list[tuple[Choice, list[str]]]:
    """The optimizers of a choice, each with the names of the parameters that it takes.

    Parts come first to choose, then the optimizer itself; its companion has the rest. Embeddings
    whose optimizer takes no sparse gradients get dense ones.

    Raises:
        UserError: a pattern matches nothing, or an optimizer can't take what is left for it.
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
    """The weights of embeddings whose gradients are sparse."""
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
                    f"optimizer.parts: {own.choice.entry.name} takes only "
                    f"{_takes(own.choice.entry)}, and {name} ({own.pattern}) is none."
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
        what = f"takes only {_takes(choice.entry)}" if choice.companion else "takes the rest"
        raise UserError(
            f"The optimizer {choice.entry.name} {what}, and {has}.\n{_instead(choice, module)}"
        )
    return mine


def _instead(choice: Choice, module: nn.Module) -> str:
    most = choice.entry.dimensions
    if most and any(p.ndim > most for p in module.parameters()):
        return "muon takes convolutions, as matrices; adamw takes anything."
    return "Choose another, e.g. adamw: gdl optimizers"


def _can_take(entry: Entry, kind: str, parameter: nn.Parameter, sparse: set[Tensor]) -> bool:
    if "sparse" in entry.needs:
        return parameter in sparse
    most = entry.dimensions or parameter.ndim
    return kind == "matrix" and ("matrices" not in entry.needs or 2 <= parameter.ndim <= most)


def _takes(entry: Entry) -> str:
    return next((TAKES[n] for n in TAKES if n in entry.needs), "hidden matrices with a companion")


def _check_largest(module: nn.Module, shares: list[tuple[Choice, list[str]]]) -> None:
    """Refuse what would ask for gigabytes at the first step."""
    parameters = dict(module.named_parameters())
    for own, names in shares:
        limit = own.entry.largest
        for name in names if limit else ():
            size = max(parameters[name].shape, default=1)
            if size > limit:
                raise UserError(
                    f"The optimizer {own.entry.name} keeps a square matrix for each dimension of "
                    f"a tensor, and {name} has one of {size:,} (at most {limit:,}).\n"
                    "Take soap, which leaves large dimensions alone, or give that parameter to "
                    "another: optimizer.parts."
                )


def _check_second_order(module: nn.Module, choice: Choice) -> None:
    """Refuse what torch can't differentiate twice."""
    bag = next((n for n, m in module.named_modules() if isinstance(m, nn.EmbeddingBag)), None)
    for entry in choice.entries:
        if bag is not None and "second-order" in entry.needs:
            raise UserError(
                f"The optimizer {entry.name} needs second derivatives, which torch does not have "
                f"of {bag} (nn.EmbeddingBag).\nTake adagrad or adamw."
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
