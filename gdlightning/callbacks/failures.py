"""What an optimizer of any library raises in its step, in words that name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gdlightning.errors import UserError


class Failures:
    """Tells what a step raises from what the evaluation of the loss within it raises.

    Args:
        name: of the optimizer.
        closure: evaluates the loss; what it raises is not the optimizer's.

    Raises:
        UserError: on leaving, of anything but a lack of memory that the step raised.
    """

    def __init__(self, name: str, closure: Callable[[], Any] | None) -> None:
        self.name, self._closure = name, closure
        self._evaluating: BaseException | None = None
        self.closure = None if closure is None else self._evaluate

    def _evaluate(self) -> Any:
        try:
            return self._closure() if self._closure is not None else None
        except BaseException as error:
            self._evaluating = error
            raise

    def __enter__(self) -> Failures:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        theirs = error is self._evaluating or not isinstance(error, Exception)
        if theirs or isinstance(error, UserError | MemoryError) or "allocate" in str(error):
            return
        said = str(error).strip().split("\n")[0]
        raise UserError(
            f"The optimizer {self.name} can't make this step: {type(error).__name__}: {said}\n"
            "Other options of it, or another optimizer, may train this model; --debug shows where."
        ) from error
