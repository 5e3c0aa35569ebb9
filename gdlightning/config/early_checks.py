"""Check settings before torch and Lightning are imported, so that common mistakes fail fast."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from gdlightning.config.settings import NAMED, SECTIONS, Setting, placed
from gdlightning.errors import UserError, did_you_mean, fold, shown


def check_glance(merged: Mapping[str, Setting], general: type) -> None:
    """Check the keys of the first level, and the name of the optimizer.

    Args:
        merged: dotted key → setting.
        general: dataclass of the options outside of sections.

    Raises:
        UserError: with the origin and similar names.
    """
    alone = [f.name for f in dataclasses.fields(general)]
    heads = [s for s in (*NAMED, *SECTIONS) if "." not in s]
    for key, setting in merged.items():
        head, _, rest = key.partition(".")
        with placed(setting):
            if rest and head not in (*heads, *alone):
                near = did_you_mean(head, heads)
                raise UserError(f"There is no section {shown(head)} ({shown(key)}).{near}")
            if not rest and head not in (*heads, *alone):
                near = did_you_mean(head, [*heads, *alone])
                if near:  # else schema.check may find the option in a section
                    raise UserError(f"There is no option {shown(key)}.{near}")
    _check_optimizer(merged)


def is_auto(merged: Mapping[str, Setting]) -> bool:
    """Return whether gdlightning chooses the optimizer (``optimizer: auto``)."""
    chosen = merged.get("optimizer.name")
    return chosen is not None and fold(str(chosen.value)) == "auto"


def _check_optimizer(merged: Mapping[str, Setting]) -> None:
    chosen = merged.get("optimizer.name")
    if (
        chosen is None
        or is_auto(merged)
        or "imports" in merged
        or not isinstance(chosen.value, str)
    ):
        return
    if chosen.value.isprintable() and chosen.value.strip() and "." not in chosen.value:
        from gdlightning.optimizers.registry import find

        with placed(chosen):
            find(chosen.value)
