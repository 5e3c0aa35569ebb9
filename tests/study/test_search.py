"""The search has equal budgets, finds planted optima, and extends ranges."""

from __future__ import annotations

import math
from collections.abc import Callable

import lightning.pytorch as L
import pytest

import gdlightning as gdl
from gdlightning.study.comparison import together
from gdlightning.study.search import StudyPlan, Tuned, tune
from gdlightning.study.space import Candidate, Range, Values, dimensions, make_candidate
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload

STEPS = 900


def workload() -> Workload:
    return Workload("made-up", L.LightningModule, L.LightningDataModule(), STEPS)


def search(
    own: Candidate, loss: Callable[[float], float], plan: StudyPlan
) -> tuple[Tuned, list[Trial]]:
    """Run a search on a loss that only depends on the learning rate."""
    asked: list[Trial] = []

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        asked.extend(trials)
        found = [loss(float(t.settings["lr"])) for t in trials]
        return [
            TrialResult({"val_loss": v}, failed="" if math.isfinite(v) else "no") for v in found
        ]

    (tuned,) = together([tune(workload(), own, plan)], evaluate)
    return tuned, asked


def bowl(best: float) -> Callable[[float], float]:
    return lambda lr: math.log10(lr / best) ** 2 if lr < 30 * best else math.inf


@pytest.mark.parametrize("sampler", ["quasi-random", "tpe"])
@pytest.mark.parametrize("best", [1e-5, 1e-4, 7e-3, 0.3])
def test_planted_learning_rate_is_found(best: float, sampler: str) -> None:
    plan = StudyPlan(trials=16, sampler=sampler)  # type: ignore[arg-type]
    tuned, _ = search(make_candidate("adamw", "adamw", tuned=("lr",)), bowl(best), plan)
    assert abs(math.log10(tuned.settings["lr"] / best)) < 0.5
    assert not tuned.at_edge


def test_best_value_at_the_edge_is_reported() -> None:
    tuned, _ = search(
        make_candidate("adamw", "adamw", tuned=("lr",)), bowl(1e3), StudyPlan(trials=8)
    )
    assert tuned.at_edge == {"lr": 1}
    assert tuned.grown["lr"][1].high > tuned.grown["lr"][0].high


def test_cost_does_not_depend_on_the_optimum() -> None:
    plan, spent = StudyPlan(trials=9), set()
    for name, best in (("adamw", 1e-3), ("sgd", 1e-2), ("lion", 3e-2)):
        _, asked = search(make_candidate(name, name, tuned=("lr",)), bowl(best), plan)
        spent.add(sum(t.steps for t in asked))
    assert spent == {9 * 100 + 3 * 300 + 900 + 900 + 900}  # best, one refinement, defaults


def test_halving_takes_at_most_two_fifths_of_the_steps() -> None:
    for trials in (12, 18, 24, 32):
        plan = StudyPlan(trials=trials, sweep=False, seeds=0)
        assert plan.cost(STEPS) - STEPS <= 0.4 * trials * STEPS  # excludes the defaults


def test_full_length_runs_refine_the_best_of_short_runs() -> None:
    """Full-length runs find a learning rate a hundred times smaller than the best of short runs."""
    own = make_candidate("adamw", "adamw", tuned=("lr",))

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        best = [1e-2 if t.steps < STEPS else 1e-4 for t in trials]
        return [
            TrialResult({"val_loss": bowl(b)(t.settings["lr"])})
            for t, b in zip(trials, best, strict=True)
        ]

    (tuned,) = together([tune(workload(), own, StudyPlan(trials=18))], evaluate)
    assert 3e-5 < tuned.settings["lr"] < 3.2e-4


def test_restarted_search_yields_the_same_trials() -> None:
    own = make_candidate("adamw", "adamw", tuned=("lr", "weight_decay", "momentum", "warmup"))
    first, again = (search(own, bowl(1e-2), StudyPlan(trials=16))[1] for _ in range(2))
    assert first == again
    assert {t.settings["warmup"] for t in first} > {0.05}


def test_shorter_runs_have_fewer_rungs() -> None:
    assert StudyPlan(trials=9).rungs(900) == [(9, 100), (3, 300), (1, 900)]
    assert StudyPlan(trials=9).rungs(300) == [(9, 100), (1, 300)]
    assert StudyPlan(trials=9).rungs(250) == [(9, 250)]
    assert StudyPlan(trials=9, halving=False).rungs(900) == [(9, 900)]


def test_spaces_are_derived_from_the_registry() -> None:
    own = make_candidate("sgd", "sgd", tuned=("lr", "weight_decay", "momentum", "warmup"))
    lr, momentum = own.space["lr"], own.space["momentum"]
    assert isinstance(lr, Range)
    assert lr.low < 0.1 < lr.high
    assert isinstance(momentum, Values)
    assert own.untuned["lr"] == 0.1
    assert "betas" in make_candidate("adamw", "adamw", tuned=("momentum",)).space
    free = make_candidate("prodigy", "prodigy", tuned=("lr",)).space["lr"]
    assert isinstance(free, Range)
    assert free.decades == pytest.approx(1)
    assert not make_candidate("a2grad", "a2grad", tuned=("lr", "warmup")).space


def test_more_trials_tune_more_options() -> None:
    assert [len(dimensions(n)) for n in (4, 8, 16)] == [1, 2, 4]


def test_learning_rate_of_a_companion_is_scaled() -> None:
    optimizer, schedule = make_candidate("muon", "muon").configured({"lr": 0.04, "warmup": 0.1})
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
        make_candidate("adamw", "adamw", own=own)
