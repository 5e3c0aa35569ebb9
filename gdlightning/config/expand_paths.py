"""Expand ``~`` and environment variables in paths; no other module does."""

from __future__ import annotations

import os
import re

from gdlightning.errors import UserError

VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w*)\})")


def expand(text: str, key: str) -> str:
    """Expand a leading ``~`` and the environment variables of a path.

    Args:
        text: path as given.
        key: key of the setting, for messages.

    Raises:
        UserError: if a variable is not set, the user of ``~user`` does not exist, or the text is
            not a path.
    """
    if not text.strip() or "\0" in text:
        raise UserError(f"{key} must be the path of a file or folder", key=key, value=text)
    for match in VARIABLE.finditer(text):
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise UserError(
                f"{key}: the environment variable {name or match[0]} is not set",
                key=key,
                value=text,
                hint="Set it, or write the full path.",
            )
    found = os.path.expanduser(os.path.expandvars(text))
    if found.startswith("~"):
        raise UserError(
            f"{key}: there is no user {found.split('/')[0][1:]}",
            key=key,
            value=text,
            hint="Write ./~… for a file whose name starts with ~.",
        )
    return found
