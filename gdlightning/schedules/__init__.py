"""Learning-rate schedules as multipliers of the peak learning rate, one decay per module."""

from gdlightning.schedules.schedule import (
    Schedule,
    find,
    names,
    options,
    parse_warmup,
    register_schedule,
)

__all__ = ["Schedule", "find", "names", "options", "parse_warmup", "register_schedule"]
