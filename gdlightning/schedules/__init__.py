"""Schedules: factors of the peak learning rate by optimizer step, one decay a file."""

from gdlightning.schedules.schedule import (
    Schedule,
    find,
    names,
    options,
    parse_warmup,
    register_schedule,
)

__all__ = ["Schedule", "find", "names", "options", "parse_warmup", "register_schedule"]
