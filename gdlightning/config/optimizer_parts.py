"""Check the lists ``optimizer.parts`` and ``optimizer.wrappers``; each entry is like a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gdlightning.config.settings import Setting, at
from gdlightning.config.typed_values import parse
from gdlightning.errors import UserError
from gdlightning.signature import Option


def compose(values: dict[str, Any], given: Mapping[str, Setting]) -> None:
    """Check ``optimizer.parts`` and ``optimizer.wrappers``, and convert their values.

    Args:
        values: values of the whole config, changed in place.
        given: dotted key → setting that the user gave.

    Raises:
        UserError: if a name or option is unknown, or a value has another type.
    """
    for key, read in (("parts", _part), ("wrappers", _wrapper)):
        where = f"optimizer.{key}"
        entries = values["optimizer"].get(key)
        if entries is None:
            continue
        setting = given.get(where)
        try:
            values["optimizer"][key] = [read(entry, where, setting) for entry in entries]
        except UserError as error:
            raise at(error, setting) from error


def _part(entry: Any, where: str, setting: Setting | None) -> Any:
    from gdlightning.optimizers.choice import Share
    from gdlightning.optimizers.options import options

    share = Share.of(entry, where)
    return {"pattern": share.pattern, "name": entry["name"]} | _typed(
        share.choice.options, options(share.choice.entry), where, setting
    )


def _wrapper(entry: Any, where: str, setting: Setting | None) -> Any:
    from gdlightning.optimizers.wrappers import Wrapping, options

    wrapping = Wrapping.of(entry, where)
    typed = _typed(wrapping.options, options(wrapping.cls), where, setting)
    return {"name": wrapping.name} | typed if typed else wrapping.name


def _typed(
    chosen: Mapping[str, Any], known: Mapping[str, Option], where: str, setting: Setting | None
) -> dict[str, Any]:
    """Convert the given options to their types."""
    origin = setting.origin if setting else "the defaults"
    settings = {f"{where}.{k}": Setting(f"{where}.{k}", v, origin) for k, v in chosen.items()}
    found: Any = parse(settings, {f"{where}.{k}": known[k] for k in chosen})
    for part in where.split(".") if chosen else ():
        found = found[part]
    return {k: found[k] for k in chosen}
