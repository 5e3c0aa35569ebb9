"""Errors in an optimizer's step, reported with the optimizer's name."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from gdlightning.errors import UserError


def name_failures(optimizer: Optimizer, name: str) -> None:
    """Make the optimizer's ``step`` raise a ``UserError`` that names the optimizer.

    Exceptions from the closure and out-of-memory errors are not changed.

    Args:
        optimizer: optimizer whose ``step`` is replaced.
        name: name of the optimizer in the message.
    """
    inner = optimizer.step

    def step(own: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
        closure_errors: list[BaseException] = []

        def evaluate() -> Any:
            try:
                return closure() if closure is not None else None
            except BaseException as error:
                closure_errors.append(error)
                raise

        try:
            return inner(evaluate if closure is not None else None)
        except Exception as error:
            memory = isinstance(error, MemoryError) or "allocate" in str(error)
            if closure_errors or memory or isinstance(error, UserError):
                raise
            first_line = str(error).strip().split("\n")[0]
            raise UserError(
                f"The step of the optimizer {name} failed: {type(error).__name__}: {first_line}",
                key="optimizer.name",
                hint="Change its options, or use another optimizer. --debug prints the traceback.",
            ) from error

    optimizer.step = types.MethodType(step, optimizer)  # type: ignore[method-assign]
