"""Paths as people write them: ``~`` and environment variables are expanded here alone."""

from __future__ import annotations

import os
import re

from gdlightning.config.settings import shown
from gdlightning.errors import UserError

VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w*)\})")


def expand(text: str, key: str) -> str:
    """Expand a leading ``~`` and the environment variables of a path.

    Args:
        text: the path, as given.
        key: the option, for the message.

    Raises:
        UserError: a variable is not set, there is no such user, or the text cannot be a path.
    """
    if not text.strip() or "\0" in text:
        raise UserError(f"{key} is {shown(text)}; write the path of a file or folder.")
    for match in VARIABLE.finditer(text):
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise UserError(
                f"{key} is {shown(text)}, but the environment variable {name or match[0]} is not "
                "set.\nSet it, or write the path in full."
            )
    found = os.path.expanduser(os.path.expandvars(text))
    if found.startswith("~"):
        raise UserError(
            f"{key} is {shown(text)}, but there is no user {found.split('/')[0][1:]}.\n"
            "Write ./~… for a file whose name begins with ~."
        )
    return found
