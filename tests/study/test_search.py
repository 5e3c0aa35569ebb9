"""The search has equal budgets, finds planted optima, and extends ranges."""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning.pytorch as L
import pytest

import gdlightning as gdl
from gdlightning.study.comparison import together
from gdlightning.study.search import Plan, Tuned, tune
from gdlightning.study.space import Contender, Range, Values, contender, dimensions
from gdlightning.study.trial import Outcome, Trial
from gdlightning.study.workload import Workload

STEPS = 900


def workload() -> Workload:
    return Workload("made-up", L.LightningModule, L.LightningDataModule(), STEPS)


def search(own: Contender, loss: Callable[[float], float], plan: Plan) -> tuple[Tuned, list[Trial]]:
    """Run a search on a loss that only depends on the learning rate."""
    asked: list[Trial] = []

    def evaluate(trials: list[Trial]) -> list[Outcome]:
        asked.extend(trials)
        found = [loss(float(t.settings["lr"])) for t in trials]
        return [Outcome({"val_loss": v}, failed="" if math.isfinite(v) else "no") for v in found]

    (tuned,) = together([tune(workload(), own, plan)], evaluate)
    return tuned, asked


def bowl(best: float) -> Callable[[float], float]:
    return lambda lr: math.log10(lr / best) ** 2 if lr < 30 * best else math.inf


@pytest.mark.parametrize("sampler", ["quasi-random", "tpe"])
@pytest.mark.parametrize("best", [1e-5, 1e-4, 7e-3, 0.3])
def test_planted_learning_rate_is_found(best: float, sampler: str) -> None:
    plan = Plan(trials=16, sampler=sampler)  # type: ignore[arg-type]
    tuned, _ = search(contender("adamw", "adamw", tuned=("lr",)), bowl(best), plan)
    assert abs(math.log10(tuned.settings["lr"] / best)) < 0.5
    assert not tuned.at_edge


def test_best_value_at_the_edge_is_reported() -> None:
    tuned, _ = search(contender("adamw", "adamw", tuned=("lr",)), bowl(1e3), Plan(trials=8))
    assert tuned.at_edge == {"lr": 1}
    assert tuned.grown["lr"][1].high > tuned.grown["lr"][0].high


def test_cost_does_not_depend_on_the_optimum() -> None:
    plan, spent = Plan(trials=9), set()
    for name, best in (("adamw", 1e-3), ("sgd", 1e-2), ("lion", 3e-2)):
        _, asked = search(contender(name, name, tuned=("lr",)), bowl(best), plan)
        spent.add(sum(t.steps for t in asked))
    assert spent == {9 * 100 + 3 * 300 + 900 + 900 + 900}  # best, one refinement, defaults


def test_halving_takes_at_most_two_fifths_of_the_steps() -> None:
    for trials in (12, 18, 24, 32):
        plan = Plan(trials=trials, sweep=False, seeds=0)
        assert plan.cost(STEPS) - STEPS <= 0.4 * trials * STEPS  # excludes the defaults


def test_full_length_runs_refine_the_best_of_short_runs() -> None:
    """Full-length runs find a learning rate a hundred times smaller than the best of short runs."""
    own = contender("adamw", "adamw", tuned=("lr",))

    def evaluate(trials: list[Trial]) -> list[Outcome]:
        best = [1e-2 if t.steps < STEPS else 1e-4 for t in trials]
        return [
            Outcome({"val_loss": bowl(b)(t.settings["lr"])})
            for t, b in zip(trials, best, strict=True)
        ]

    (tuned,) = together([tune(workload(), own, Plan(trials=18))], evaluate)
    assert 3e-5 < tuned.settings["lr"] < 3.2e-4


def test_restarted_search_yields_the_same_trials() -> None:
    own = contender("adamw", "adamw", tuned=("lr", "weight_decay", "momentum", "warmup"))
    first, again = (search(own, bowl(1e-2), Plan(trials=16))[1] for _ in range(2))
    assert first == again
    assert {t.settings["warmup"] for t in first} > {0.05}


def test_shorter_runs_have_fewer_rungs() -> None:
    assert Plan(trials=9).rungs(900) == [(9, 100), (3, 300), (1, 900)]
    assert Plan(trials=9).rungs(300) == [(9, 100), (1, 300)]
    assert Plan(trials=9).rungs(250) == [(9, 250)]
    assert Plan(trials=9, halving=False).rungs(900) == [(9, 900)]


def test_spaces_are_derived_from_the_registry() -> None:
    own = contender("sgd", "sgd", tuned=("lr", "weight_decay", "momentum", "warmup"))
    lr, momentum = own.space["lr"], own.space["momentum"]
    assert isinstance(lr, Range)
    assert lr.low < 0.1 < lr.high
    assert isinstance(momentum, Values)
    assert own.untuned["lr"] == 0.1
    assert "betas" in contender("adamw", "adamw", tuned=("momentum",)).space
    free = contender("prodigy", "prodigy", tuned=("lr",)).space["lr"]
    assert isinstance(free, Range)
    assert free.decades == pytest.approx(1)
    assert not contender("a2grad", "a2grad", tuned=("lr", "warmup")).space


def test_more_trials_tune_more_options() -> None:
    assert [len(dimensions(n)) for n in (4, 8, 16)] == [1, 2, 4]


def test_learning_rate_of_a_companion_is_scaled() -> None:
    optimizer, schedule = contender("muon", "muon").configured({"lr": 0.04, "warmup": 0.1})
    assert optimizer["companion"]["lr"] == pytest.approx(2e-3)
    assert schedule["warmup"] == 0.1


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"lr": [1, 0.1]}, "ascending order"),
        ({"lr": 3}, "two positive numbers"),
        ({"betsa": [1, 2]}, "betas"),
    ],
)
def test_invalid_space_is_an_error(own: dict[str, object], message: str) -> None:
    with pytest.raises(gdl.UserError, match=message):
        contender("adamw", "adamw", own=own)
