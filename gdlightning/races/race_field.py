"""A race of several optimizers on one test function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tqdm.auto import tqdm

from gdlightning.errors import UserError
from gdlightning.races.race import Track, race
from gdlightning.races.test_functions import Function


def race_all(
    function: Function,
    names: Iterable[str],
    rates: Mapping[str, float | str],
    *,
    steps: int,
    seed: int,
    schedule: dict[str, Any],
) -> tuple[list[Track], dict[str, str]]:
    """Race optimizers on a test function.

    Args:
        function: the test function.
        names: names of the optimizers.
        rates: optimizer → learning rate, ``tuned`` or ``default``; that of an empty name is for
            all others.
        steps: number of steps.
        seed: seed of the gradient noise.
        schedule: name and warm-up of the learning-rate schedule.

    Returns:
        The tracks, best first, and the reason per optimizer that could not take part.
    """
    tracks, left_out = [], {}
    for name in tqdm(list(names), desc="race", disable=None, leave=False):
        rate = rates.get(name, rates[""])
        try:
            tracks.append(race(function, name, steps=steps, lr=rate, schedule=schedule, seed=seed))
        except UserError as error:
            left_out[name] = str(error).splitlines()[0]
    return sorted(tracks, key=lambda track: track.rank), left_out
