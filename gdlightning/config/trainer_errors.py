"""Errors of Lightning's Trainer in terms of the settings in the section trainer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gdlightning.config.settings import Setting
from gdlightning.errors import UserError

ARGUMENT = re.compile(r"\b[a-z]+(?:_[a-z]+)*\b")


def trainer_error(error: Exception, given: Mapping[str, Setting]) -> UserError:
    """Return an error of Lightning's Trainer as an error of the setting that it names.

    Args:
        error: exception raised by the Trainer. Lightning names its arguments without the section.
        given: dotted key → setting that the user gave.

    Returns:
        The error, with Lightning's first line as hint. Without a setting of that name, the message
        is Lightning's.
    """
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    for word in ARGUMENT.findall(reason):
        setting = given.get(f"trainer.{word}")
        if setting is not None:
            return UserError(
                f"{setting.key} is not supported by Lightning here",
                key=setting.key,
                value=setting.value,
                hint=reason,
                file=setting.origin,
            )
    return UserError(f"trainer: {reason}", key="trainer")
