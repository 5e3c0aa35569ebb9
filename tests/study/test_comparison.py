"""A comparison on real runs: equal budgets, new seeds, and stacking without effect."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from gdlightning.data.tabular import SklearnTabular
from gdlightning.nets.mlp import MLP
from gdlightning.study import comparison_report as report
from gdlightning.study.comparison import Comparison, compare
from gdlightning.study.comparison_result import comparison_result
from gdlightning.study.search import StudyPlan
from gdlightning.study.space import make_candidate
from gdlightning.study.stacked_trials import jobs, run
from gdlightning.study.trial import Trial, TrialResult
from gdlightning.study.workload import Workload
from gdlightning.tasks.tabular import TabularClassification

STEPS = 40
PLAN = StudyPlan(trials=3, seeds=2)


def workload(name: str = "iris", **options: object) -> Workload:
    made = Workload(
        name,
        lambda: TabularClassification(MLP(4, [], 3, hidden=[8]), outputs=3),
        SklearnTabular(dataset="iris", batch_size=16, val_fraction=0.2, test_fraction=0.2),
        STEPS,
        trainer={"accelerator": "cpu"},
        **options,  # type: ignore[arg-type]
    )
    made.prepare()
    return made


def study(*names: str, stacks: bool = True, workloads: int = 1) -> tuple[Comparison, list[Trial]]:
    torch.set_num_threads(1)
    made = [workload(f"iris {k}") for k in range(workloads)]
    rivals = [make_candidate(n, n.split("#")[0], tuned=("lr",)) for n in names]
    asked: list[Trial] = []

    def evaluate(trials: list[Trial]) -> list[TrialResult]:
        asked.extend(trials)
        named, labelled = {w.name: w for w in made}, {c.label: c for c in rivals}
        if not stacks:
            return [run([t], named, labelled)[0] for t in trials]
        found = {
            t.key: o
            for job in jobs(trials, named, labelled)
            for t, o in zip(job, run(job, named, labelled), strict=True)
        }
        return [found[t.key] for t in trials]

    return compare(made, rivals, PLAN, evaluate), asked


@pytest.fixture(scope="module")
def whole() -> tuple[Comparison, list[Trial]]:
    return study("adamw", "sgd", "adamw#again")


def test_all_optimizers_have_the_same_budget_and_seeds(
    whole: tuple[Comparison, list[Trial]],
) -> None:
    comparison, asked = whole
    for purpose in ("tuning", "baseline", "sweep", "verdict"):
        shares = [
            sorted((t.steps, t.seed) for t in asked if t.candidate == c and t.purpose == purpose)
            for c in comparison.candidates
        ]
        assert shares[0] == shares[1] == shares[2] != []
    tuning = {t.seed for t in asked if t.purpose != "verdict"}
    assert not tuning & {t.seed for t in asked if t.purpose == "verdict"}
    spent = sum(t.steps for t in asked)
    assert spent == comparison.steps


def test_two_labels_of_one_optimizer_have_equal_results(
    whole: tuple[Comparison, list[Trial]],
) -> None:
    (ranking,) = comparison_result(whole[0]).rankings
    (pair,) = (d for d in ranking.differences if {d.first, d.second} == {"adamw", "adamw#again"})
    assert not pair.shown
    assert "are equal up to rounding" in pair.words


def test_tuning_does_not_use_the_test_split(
    whole: tuple[Comparison, list[Trial]],
) -> None:
    for course in whole[0].courses.values():
        for trial, outcome in course.trials:
            assert ("test_loss" in outcome.metrics) == (trial.purpose == "verdict")


def test_stacked_runs_choose_the_same_settings(whole: tuple[Comparison, list[Trial]]) -> None:
    alone, _ = study("adamw", "sgd", stacks=False)
    for key, course in alone.courses.items():
        other = whole[0].courses[key]
        assert course.tuned is not None
        assert other.tuned is not None
        assert course.tuned.settings == other.tuned.settings
        for (trial, outcome), (same, stacked) in zip(course.trials, other.trials, strict=True):
            assert trial == same
            assert outcome.metrics["val_loss"] == pytest.approx(
                stacked.metrics["val_loss"], rel=1e-3
            )
        assert max(o.stacked for _, o in other.trials) > 1


def test_failed_run_is_an_outcome() -> None:
    own, rival = workload(), make_candidate("sgd", "sgd", tuned=("lr",))
    trial = Trial(own.name, "sgd", {"lr": 1e30}, STEPS, 1, "verdict")
    (outcome,) = run([trial], {own.name: own}, {"sgd": rival})
    assert "not finite" in outcome.failed
    assert not outcome.metrics


def test_metric_with_higher_values_better() -> None:
    own = workload(metric="val_accuracy")
    assert own.higher
    assert not own.stacks
    assert own.test_metric == "test_accuracy"
    assert own.score({"val_accuracy": 0.9}) < own.score({"val_accuracy": 0.5})


def test_report_is_self_contained(tmp_path: Path) -> None:
    comparison, _ = study("adamw", "sgd", workloads=2)
    found = comparison_result(comparison)
    report.write(tmp_path, comparison, found, "gdl compare --config x", {"torch": "2"})
    page = (tmp_path / "report.html").read_text()
    text = re.sub(r'"data:[^"]*"', "", page)  # base64 data may contain "http" by chance
    assert "http" not in text.replace("http-equiv", "")
    assert "gdl compare --config x" in page
    assert found.rankings[0].words[0] in page.replace("&#x27;", "'")
    record = json.loads((tmp_path / "report.json").read_text())
    assert len(record["trials"]) == sum(len(c.trials) for c in comparison.courses.values())
    assert {p.name for p in tmp_path.glob("*.png")} >= {"profiles.png", "ranking_iris 0.png"}
    assert set(found.scores) == {"adamw", "sgd"}


def test_report_of_a_study_in_progress(tmp_path: Path) -> None:
    own, rival = workload(), make_candidate("sgd", "sgd", tuned=("lr",))
    partial = Comparison(PLAN, {own.name: own}, {"sgd": rival}, untrained={own.name: 1.1})
    report.write(tmp_path, partial, comparison_result(partial), "gdl compare", {})
    assert "in progress" in (tmp_path / "report.html").read_text()
