"""Verdicts are those of plain formulas over the rows, which take quadratic time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from statistics import mean, median, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instruments import lines

from gdlightning.diagnostics.checks import divergence, plateau
from gdlightning.diagnostics.checks.batch_size import MIN_PAIRS, noise_scale
from gdlightning.diagnostics.diagnose import diagnose
from gdlightning.diagnostics.lr_classifier import PARTS, features_of
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.step_columns import MIN_RELATIVE_CHANGE

Rows = list[dict[str, Any]]


def finite(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None and math.isfinite(v)]


def losses_of(rows: Rows) -> list[float]:
    return [math.nan if v is None else v for row in rows for v in row.get("losses", ())]


def smooth(losses: list[float], begin: float, end: float) -> float:
    low = min(int(begin * len(losses)), max(0, len(losses) - 1))
    part = finite(losses[low : max(low + 1, int(end * len(losses)))])
    return median(part) if part else math.nan


def gain(row: dict[str, Any]) -> float | None:
    loss = math.nan if row["loss"] is None else row["loss"]
    hidden = not abs(row["promised"]) > MIN_RELATIVE_CHANGE * abs(loss)
    return None if hidden else row["gain"]


def plain_signs(rows: Rows) -> dict[str, float]:
    losses, measured = losses_of(rows), [r for r in rows if "promised" in r]
    alike = {r["step"]: r["alike"] for r in rows if "alike" in r}
    peak = max((r["lr"] for r in measured if r["lr"] is not None), default=0.0)
    steps = [r for r in measured if r["lr"] is None or r["lr"] >= peak / 2]
    first = abs(losses[0]) or 1.0
    gains = sorted(g for g in map(gain, steps) if g is not None)
    late = [g for r in steps if (g := gain(r)) is not None and r["step"] >= len(losses) // 2]
    end, half = smooth(losses, 0.85, 1.0), smooth(losses, 0.4, 0.6)
    fallen = max(first - end, 1e-6 * first) if math.isfinite(end) else 1e-6 * first
    slopes = [abs(r["promised"]) for r in steps]
    level = finite([smooth(losses, k / PARTS, (k + 1) / PARTS) for k in range(PARTS)])
    pairs = [alike[r["step"]] for r in steps if r["step"] in alike]
    cosines = [a / math.sqrt(b * c) for a, b, c in pairs if a is not None and b > 0 and c > 0]
    return {
        "gain": median(gains) if gains else 1.0,
        "late_gain": median(late or gains or [1.0]),
        "low_gain": median(gains[: max(1, len(gains) // 4)]) if gains else 1.0,
        "overshoots": sum(g < 0 for g in gains) / max(1, len(gains)),
        "still_falling": (half - end) / fallen if math.isfinite(half - end) else 0.0,
        "progress": fallen / first,
        "peak": 1e8 if len(level) < PARTS else max(level) / first,
        "promised": sum(slopes) / len(slopes) * len(losses) / first,
        "wasted": sum(slopes) / len(slopes) * len(losses) / fallen,
        "update_ratio": median(finite([r["update_ratio"] for r in steps]) or [0.0]),
        "cosine": median(cosines) if cosines else 0.0,
        "rebound": end / max(min(level, default=math.nan), 1e-9) if math.isfinite(end) else 1e2,
        "diverged": not all(map(math.isfinite, losses)),
    }


def plain_noise_scale(rows: Rows) -> float | None:
    alike = {r["step"]: r["alike"] for r in rows if "alike" in r}
    steps = [r for r in rows if "promised" in r and r["step"] in alike]
    steps = steps[int(0.5 * len(steps)) :]
    pairs = [alike[r["step"]] for r in steps]
    cosines = [a / math.sqrt(b * c) for a, b, c in pairs if a is not None and b > 0 and c > 0]
    if len(cosines) < MIN_PAIRS or mean(cosines) < 2 * stdev(cosines) / math.sqrt(len(cosines)):
        return None
    cosine = min(max(mean(cosines), 1e-6), 0.999)
    return float(mean(r["examples"] for r in steps) * (1 - cosine) / cosine)


def plain_noise(losses: list[float]) -> float:
    size = max(2, len(losses) // plateau.WINDOWS)
    parts = [losses[k : k + size] for k in range(0, len(losses) - size + 1, size)]
    spreads = [median(abs(v - median(p)) for v in p) for p in parts]
    return 1.25 * 1.48 * median(spreads) / math.sqrt(size)


def plain_began(losses: list[float]) -> int:
    first = median(finite(losses)[:3]) if finite(losses) else math.nan
    return next((k for k in range(len(losses)) if all(not v <= first for v in losses[k:])), 0)


level = st.floats(0.01, 100, allow_subnormal=False)
loss = st.one_of(level, level, level, level, st.none())


@given(
    losses=st.lists(loss, min_size=2, max_size=150).filter(lambda found: found[0] is not None),
    every=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_every_sign_is_the_plain_one_to_the_last_bit(
    losses: list[float | None], every: int, seed: int
) -> None:
    chance = random.Random(seed)
    rows = lines(
        [math.nan if v is None else v for v in losses],
        every,
        gain=lambda _: chance.choice([None, chance.gauss(0.5, 1)]),
        promised=lambda _: chance.choice([-1e-8, chance.gauss(0, 1)]),
        update_ratio=lambda _: chance.choice([None, chance.random()]),
        lr=lambda _: chance.choice([None, chance.random()]),
        examples=lambda _: chance.choice([32, 31]),
    )
    rows += [
        {
            "step": row["step"],
            "alike": [
                chance.choice([None, *[chance.gauss(0.8, 0.2)] * 9]),
                chance.random(),
                chance.choice([0.0, *[1.0] * 9]),
            ],
        }
        for row in rows
        if "promised" in row and chance.random() < 0.9
    ]
    record = RunRecord.of(rows)
    found, wanted = features_of(record), plain_signs(rows)
    assert found is not None
    assert {k: repr(getattr(found, k)) for k in wanted} == {k: repr(v) for k, v in wanted.items()}
    assert noise_scale(record) == plain_noise_scale(rows)
    assert divergence._began(record) == plain_began(losses_of(rows))
    whole = finite(losses)
    if len(whole) >= 2:
        assert plateau._noise(whole) == plain_noise(whole)


class Counting(list[float]):
    """Losses that count how many of them are looked at one by one."""

    looks = 0

    def __iter__(self) -> Iterator[float]:
        for value in super().__iter__():
            self.looks += 1
            yield value

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        self.looks += len(found) if isinstance(place, slice) else 1
        return found


@pytest.mark.parametrize("kind", ["falls", "stands", "spikes", "diverges"])
def test_the_looks_at_losses_grow_no_faster_than_their_number(kind: str) -> None:
    looks = []
    for size in (400, 1600):
        losses = {
            "falls": [2 * 0.5 ** (k / size) for k in range(size)],
            "stands": [2.0 + 0.01 * (k % 3) for k in range(size)],
            "spikes": [2.0 if k % 8 else 50.0 for k in range(size)],
            "diverges": [2.0 + 100 * k / size for k in range(size)],
        }[kind]
        rows = lines(losses, every=4)
        for row in rows[1:]:
            row["spikes"] = [
                {"step": row["step"], "loss": v, "typical": 1.0, "examples": [1]}
                for v in row["losses"]
                if v > 40
            ]
        record = RunRecord.of(rows)
        counting = Counting(record.losses)
        record.losses = counting
        diagnose(record)
        looks.append(counting.looks)
    assert looks[1] < 5 * looks[0]
