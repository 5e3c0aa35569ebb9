"""Tables in memory: a pandas data frame in place of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gdlightning.data.tabular import TableModule, select
from gdlightning.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DataFrame"]


class DataFrame(TableModule):
    """A pandas data frame, passed from Python: ``gdl.fit(data=frame, target="price")``.

    Args:
        target: the column to predict.
        categorical: columns of numbers that are codes; text columns are found without it.
        drop: columns to leave out, such as an id.
        problem: whether the target is a class or a number; auto as for ``tabular``.
        frame: the data frame; it is not stored with the run.
    """

    def __init__(
        self,
        target: str,
        categorical: list[str] | None = None,
        drop: list[str] | None = None,
        problem: Literal["auto", "classification", "regression"] = "auto",
        frame: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.frame, self.target, self.problem = frame, str(target), problem
        self.categorical, self.drop = categorical or [], drop or []

    @property
    def source(self) -> str:
        """Name of the data, for messages."""
        return "the data frame"

    def table(self) -> tuple[pd.DataFrame, bool]:
        """Return the data frame without the dropped columns."""
        if self.frame is None:
            raise UserError(
                "The data of this run is a data frame in Python, which its config cannot store.\n"
                "Pass it again: gdl.fit(..., data=frame) or gdl.load(RUN, data=frame)."
            )
        frame = self.frame.rename(columns=str)
        if frame.empty:
            raise UserError("The data frame has no rows.")
        return select(frame, self.target, self.categorical, self.drop, self.problem, self.source)
