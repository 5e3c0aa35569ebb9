"""Wrappers around the step of any optimizer, one per module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch.optim import Optimizer

from gdlightning.discovery import Catalogue
from gdlightning.errors import UserError, did_you_mean
from gdlightning.optimizers.wrappers.wrapper import Wrapper
from gdlightning.signature import Option, options_of

__all__ = ["WRAPPERS", "Wrapper", "Wrapping"]

WRAPPERS = Catalogue(
    "gdlightning.optimizers.wrappers",
    "wrapper",
    base="gdlightning.optimizers.wrappers.wrapper:Wrapper",
)


@dataclass(frozen=True)
class Wrapping:
    """Wrapper by name with its options."""

    name: str
    cls: type[Wrapper]
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Any, where: str = "optimizer.wrappers") -> Wrapping:
        """Create a wrapping from a name, or from a mapping with ``name`` and options.

        Raises:
            UserError: if the name or an option is unknown.
        """
        settings = {"name": given} if isinstance(given, str) else given
        if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
            raise UserError(
                f"Each entry of {where} must be a name, or a name with options "
                f"(got {str(given)[:60]}).\n"
                f"Example: {where}: [lookahead], or {where}: [{{name: lookahead, k: 5}}]",
                key=where,
            )
        name = settings["name"]
        try:
            found: type[Wrapper] = WRAPPERS.find(name)
        except UserError as error:
            raise error.within(where) from error
        chosen = {k: v for k, v in settings.items() if k != "name"}
        known = options(found)
        for key in chosen:
            if key not in known:
                raise UserError(
                    f"{where}: {name} has no option {key}.{did_you_mean(str(key), known)}\n"
                    f"Available options: {', '.join(known) or 'none'}.",
                    key=where,
                )
        return cls(name, found, chosen)

    def around(self, base: Optimizer) -> Wrapper:
        """Return the wrapper around an optimizer.

        Raises:
            UserError: if the wrapper rejects its options.
        """
        try:
            return self.cls(base, **self.options)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"optimizer.wrappers: {self.name} rejected its options: {error}",
                key="optimizer.wrappers",
            ) from error


def options(wrapper: type[Wrapper]) -> dict[str, Option]:
    """Return the options of a wrapper by name."""
    return options_of(wrapper, skip={"base"})
