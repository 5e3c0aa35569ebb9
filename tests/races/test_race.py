"""Every optimizer that can train a point races, and takes the same steps as by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdlightning.errors import UserError
from gdlightning.optimizers.entry import Entry
from gdlightning.optimizers.registry import entries
from gdlightning.races.race import LRS, race, unfit
from gdlightning.races.test_functions import find

BOWL = find("ill-conditioned")
HERE = [e for e in entries() if not unfit(e)]
OUT = [e for e in entries() if unfit(e)]


@pytest.mark.parametrize("entry", HERE, ids=[e.name for e in HERE])
def test_every_optimizer_races(entry: Entry) -> None:
    track = race(BOWL, entry.name, steps=4, lr="default")
    assert track.optimizer == entry.name
    assert 1 <= len(track.points) <= 5
    assert len(track.points) == 5 or track.diverged
    assert len(track.points) == len(track.values) == len(track.gradients)
    assert track.points[0].tolist() == list(BOWL.start)
    assert torch.equal(track.values, BOWL.value(*track.points.T))
    if not track.diverged:
        assert int(track.gradients[-1]) >= 4  # at least one evaluation per step
        assert bool(torch.isfinite(track.points).all())


def test_few_optimizers_cannot_race_and_give_a_reason() -> None:
    installed = [e for e in OUT if not unfit(e).endswith("is not installed")]
    assert len(HERE) > 140
    assert len(installed) < 35
    for entry in installed:
        with pytest.raises(UserError, match=f"{entry.name} cannot be raced: "):
            race(BOWL, entry.name, steps=2)
    why = {e.name: unfit(e) for e in OUT}
    assert "only trains matrices" in why["muon"]
    assert "sparse gradients" in why["sparse-adam"]


def test_gradient_descent_equals_the_formula() -> None:
    track = race(BOWL, "gd", steps=30, lr=0.015)
    x, y = BOWL.start
    for k in range(31):
        assert track.points[k].tolist() == pytest.approx([x, y], rel=1e-4, abs=1e-6)
        x, y = x - 0.015 * x, y - 0.015 * 100 * y


def test_a_schedule_is_followed() -> None:
    track = race(BOWL, "gd", steps=20, lr=0.01, schedule={"name": "linear", "warmup": 5})
    from gdlightning.schedules import Schedule

    x, factor = BOWL.start[0], Schedule("linear", warmup=5).factor
    for k in range(20):
        x *= 1 - 0.01 * factor(k, 20)
    assert float(track.points[-1, 0]) == pytest.approx(x, rel=1e-5)


def test_schedule_observes_a_plateau() -> None:
    """At 1.5 times the stable learning rate the value rises, until the schedule reduces it."""
    options = {"name": "reduce-on-plateau", "patience": 0, "factor": 0.1}
    cut = race(BOWL, "gd", steps=80, lr=0.03, schedule=options)
    assert race(BOWL, "gd", steps=80, lr=0.03).diverged
    ys = cut.points[:, 1].abs()
    assert float(ys[-1]) < 0.5 * float(ys.max()) < 10


def test_arrival_is_the_first_step_from_which_the_point_stays() -> None:
    track = race(BOWL, "momentum", steps=300, lr=0.01)
    away = BOWL.distance(track.points) > BOWL.near
    assert track.arrived is not None
    assert bool(away[track.arrived - 1])
    assert not bool(away[track.arrived :].any())
    assert bool((~away[: track.arrived]).any())  # it had passed the minimum before
    assert race(BOWL, "gd", steps=300, lr=1e-4).arrived is None


def test_tuned_learning_rate_converges_first() -> None:
    saddle = find("saddle")
    found = race(saddle, "adam", steps=150)
    each = [race(saddle, "adam", steps=150, lr=lr) for lr in LRS]
    staying = [t.arrived for t in each if t.arrived is not None and not t.strayed]
    assert found.tuned
    assert found.arrived == min(staying)
    assert found.lr in LRS
    assert race(saddle, "prodigy", steps=10).lr == 1.0  # the default


def test_divergence() -> None:
    track = race(BOWL, "gd", steps=100, lr=5.0)
    assert track.diverged
    assert track.arrived is None
    assert len(track.points) < 20
    assert bool(torch.isfinite(track.points).all())


def test_noise_is_seeded_and_fixed_within_a_step() -> None:
    noisy = find("noisy")
    one, other, again = (race(noisy, "gd", steps=20, lr=0.05, seed=s) for s in (0, 1, 0))
    assert torch.equal(one.points, again.points)
    assert not torch.equal(one.points, other.points)
    # LBFGS evaluates several times per step, and would not converge if the noise changed.
    assert race(noisy, "lbfgs", steps=5, lr=1.0).gradients[-1] > 10


def test_gradient_evaluations_are_counted() -> None:
    assert race(BOWL, "sam", steps=5, lr=0.001).gradients.tolist() == [0, 2, 4, 6, 8, 10]
    assert race(BOWL, "adam", steps=3, lr=0.1).gradients.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("optimizer", "options", "message"),
    [
        ("adm", {}, "no optimizer named adm"),
        ("adam", {"schedule": "cosin"}, "no schedule named cosin"),
        ("alig", {"schedule": "cosine"}, "cannot be raced with a schedule"),
    ],
)
def test_invalid_settings_are_an_error(
    optimizer: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        race(BOWL, optimizer, steps=3, **options)
