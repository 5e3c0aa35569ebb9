"""The conclusion of an experiment: verdict, summary and effects."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


class ClaimVerdict(enum.StrEnum):
    """Verdict on a claim."""

    HOLDS = "holds"
    CONDITIONS = "holds under conditions"
    NOT_HERE = "does not show at this scale"


@dataclass(frozen=True)
class Effect:
    """A quantity measured once per seed.

    Args:
        what: name of the quantity.
        values: one value per seed; None if undefined, such as the steps of a diverged run.
        unit: unit of the values; empty for a ratio.
        expected: value predicted by theory or earlier work, as text.
    """

    what: str
    values: tuple[float | None, ...]
    unit: str = ""
    expected: str = ""

    @property
    def middle(self) -> float:
        """The median over seeds, with undefined values as infinity."""
        return median(math.inf if v is None else v for v in self.values)

    def __str__(self) -> str:
        """Return the median and the range over seeds."""
        known = [v for v in self.values if v is not None]
        if not known:
            return "none"
        unit = f" {self.unit}" if self.unit else ""
        lacking = len(self.values) - len(known)
        rest = f", none in {lacking} of {len(self.values)}" if lacking else ""
        low, high = shown(min(known)), shown(max(known))
        spread = f" ({low} to {high})" if low != high else ""
        return f"{shown(median(known))}{spread}{unit}{rest}"


@dataclass(frozen=True)
class Conclusion:
    """Conclusion from the measurements of all seeds.

    Args:
        verdict: verdict by a rule over the effects.
        words: summary of the results with their numbers, in a few sentences.
        effects: measured quantities with their spread.
    """

    verdict: ClaimVerdict
    words: str
    effects: tuple[Effect, ...]


def effect(what: str, values: Iterable[float | None], unit: str = "", expected: str = "") -> Effect:
    """Create an effect; non-finite values count as undefined."""
    known = tuple(float(v) if v is not None and math.isfinite(v) else None for v in values)
    return Effect(what, known, unit, expected)


def shown(value: float) -> str:
    """Format a number with three significant digits."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else f"{float(f'{value:.3g}'):,.0f}"


def count(flags: Sequence[bool]) -> str:
    """Return how many flags are true, as '3 of 5'."""
    return f"{sum(flags)} of {len(flags)}"
