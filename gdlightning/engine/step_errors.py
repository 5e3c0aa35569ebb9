"""What an optimizer of any library raises in its step, in words that name it."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from gdlightning.errors import UserError


def name_failures(optimizer: Optimizer, name: str) -> None:
    """Let the optimizer's ``step`` raise a ``UserError`` that names it, for errors of its own.

    What the evaluation of the loss within the step raises passes as it is, and so does a lack of
    memory.
    """
    inner = optimizer.step

    def step(own: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        others: list[BaseException] = []

        def evaluate() -> Any:
            try:
                return closure() if closure is not None else None
            except BaseException as error:
                others.append(error)
                raise

        try:
            return inner(evaluate if closure is not None else None)
        except Exception as error:
            memory = isinstance(error, MemoryError) or "allocate" in str(error)
            if others or memory or isinstance(error, UserError):
                raise
            said = str(error).strip().split("\n")[0]
            raise UserError(
                f"The optimizer {name} can't make this step: {type(error).__name__}: {said}\n"
                "Other options of it, or another optimizer, may train this model; --debug shows "
                "where.",
                key="optimizer.name",
            ) from error

    optimizer.step = types.MethodType(step, optimizer)  # type: ignore[method-assign]
